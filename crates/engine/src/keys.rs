//! API keys: made, listed, revoked. Only a hash is kept; the secret is shown once (docs/rules.md 11).

use core::fmt;

use protocol::{
    Timestamp, WorkspaceId,
    id::{ApiKeyId, Id},
    routes::OWN_KEY,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use store::{BatchError, BatchWrite, DocumentKind, DocumentQuery, Store, StoreFault, StoredDocument};

/// The word for keys where they are kept.
const KIND: DocumentKind = DocumentKind::new("api_key");
/// Bytes that a secret carries.
const SECRET_BYTES: usize = 32;
/// Attempts at a change of a key that others change at the same time.
const RACES: u32 = 16;
/// Most keys that one list shows.
const LISTED: usize = 1_000;

/// A key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// What it is for.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when it opens nothing.
    pub revoked_at: Option<Timestamp>,
}

/// Sixteen bytes for a key's id and thirty-two for its secret, from the operating system.
pub type KeyEntropy = [u8; 48];

/// A key's secret. It is shown once and kept nowhere; only `expose` writes it out.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKeySecret(String);

impl ApiKeySecret {
    /// The secret itself, to print it or to write it to a file of the owner's.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The hash under which a secret is known: SHA-256, fit for secrets that carry 256 bits of entropy.
pub fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// Whether this could be the secret of a key of ours.
pub fn is_whole(secret: &str) -> bool {
    let written = secret.strip_prefix(OWN_KEY).filter(|written| written.len() <= 2 * SECRET_BYTES);
    written.is_some_and(|written| {
        bs58::decode(written).into_vec().is_ok_and(|bytes| bytes.len() == SECRET_BYTES)
    })
}

/// A new key and its secret, which open nothing until they are [`keep`]t.
pub fn make(name: &str, at: Timestamp, entropy: KeyEntropy) -> (ApiKey, ApiKeySecret) {
    let (id, secret) = entropy.split_at(16);
    let id = id.iter().fold(0_u128, |bits, byte| (bits << 8) | u128::from(*byte));
    let secret = ApiKeySecret(format!("{OWN_KEY}{}", bs58::encode(secret).into_string()));
    (ApiKey { id: Id::from_bits(id), name: name.to_owned(), created_at: at, revoked_at: None }, secret)
}

/// Keeps a key, of its secret only the hash: from now on it opens.
///
/// # Errors
/// The store failed; it may have kept the key all the same.
pub async fn keep(
    store: &Store,
    workspace: WorkspaceId,
    key: &ApiKey,
    secret: &ApiKeySecret,
) -> Result<(), StoreFault> {
    let hash = hex(&hash(secret.expose()));
    let document = StoredDocument { unique_key: Some(hash), ..document(workspace, key, key.created_at)? };
    committed(store.commit(vec![BatchWrite::Create(document)]).await)
}

/// Makes a key and keeps it.
///
/// # Errors
/// The store failed.
pub async fn create(
    store: &Store,
    workspace: WorkspaceId,
    name: &str,
    at: Timestamp,
    entropy: KeyEntropy,
) -> Result<(ApiKey, ApiKeySecret), StoreFault> {
    let (key, secret) = make(name, at, entropy);
    keep(store, workspace, &key, &secret).await?;
    Ok((key, secret))
}

/// Every key, newest first, the revoked ones too.
///
/// # Errors
/// The store failed.
pub async fn list(store: &Store, workspace: WorkspaceId) -> Result<Vec<ApiKey>, StoreFault> {
    let query = DocumentQuery { include_archived: true, ..DocumentQuery::new(workspace, KIND, LISTED) };
    store.documents(query).await?.items.iter().map(read).collect()
}

/// Revokes a key; from the next request on it opens nothing. `None`: there is no such key. A key that is
/// revoked already stays as it is.
///
/// # Errors
/// The store failed.
pub async fn revoke(
    store: &Store,
    workspace: WorkspaceId,
    id: ApiKeyId,
    at: Timestamp,
) -> Result<Option<ApiKey>, StoreFault> {
    for _ in 0..RACES {
        let Some(found) = store.document(workspace, KIND, id.bits(), None).await? else {
            return Ok(None);
        };
        let key = read(&found)?;
        if key.revoked_at.is_some() {
            return Ok(Some(key));
        }
        let key = ApiKey { revoked_at: Some(at), ..key };
        let revoked = document(workspace, &key, at)?;
        let revoked = StoredDocument { revision: found.revision + 1, version: found.version, ..revoked };
        match store.commit(vec![BatchWrite::Revise(revoked)]).await {
            // Somebody else was quicker.
            Err(BatchError::Conflict { .. }) => {}
            done => return committed(done).map(|()| Some(key)),
        }
    }
    committed(Err(BatchError::Conflict { write: 0 })).map(|()| None)
}

/// The live key with this hash; `None`: there is none.
///
/// # Errors
/// The store failed.
pub async fn find(
    store: &Store,
    workspace: WorkspaceId,
    hash: &[u8; 32],
) -> Result<Option<ApiKey>, StoreFault> {
    let found = store.find(workspace, KIND, &hex(hash)).await?;
    let key = found.as_ref().map(read).transpose()?;
    Ok(key.filter(|key| key.revoked_at.is_none()))
}

fn document(workspace: WorkspaceId, key: &ApiKey, at: Timestamp) -> Result<StoredDocument, StoreFault> {
    Ok(StoredDocument {
        kind: KIND,
        id: key.id.bits(),
        revision: 1,
        version: 1,
        workspace,
        parent: None,
        unique_key: None,
        body: serde_json::to_vec(key).map_err(|_| StoreFault::Misuse("an API key cannot be written"))?,
        created_at: key.created_at,
        updated_at: at,
        archived_at: key.revoked_at,
    })
}

fn read(document: &StoredDocument) -> Result<ApiKey, StoreFault> {
    serde_json::from_slice(&document.body).map_err(|_| StoreFault::Corrupt("an API key"))
}

fn committed(result: Result<(), BatchError>) -> Result<(), StoreFault> {
    result.map_err(|error| match error {
        BatchError::Fault(fault) => fault,
        BatchError::Conflict { .. } => {
            StoreFault::Misuse("the key was changed by another process at the same time")
        }
    })
}

fn hex(hash: &[u8; 32]) -> String {
    let mut text = String::with_capacity(64);
    for byte in hash {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(digit.into(), 16).unwrap_or_default());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKSPACE: WorkspaceId = WorkspaceId::from_bits(1);
    const AT: Timestamp = Timestamp::from_micros(1);

    #[tokio::test]
    async fn a_key_opens_until_it_is_revoked() {
        let store = Store::memory();
        let (key, secret) = create(&store, WORKSPACE, "ci", AT, [7; 48]).await.unwrap();
        assert_eq!(find(&store, WORKSPACE, &hash(secret.expose())).await, Ok(Some(key.clone())));
        let later = Timestamp::from_micros(2);
        let revoked = ApiKey { revoked_at: Some(later), ..key.clone() };
        assert_eq!(revoke(&store, WORKSPACE, key.id, later).await, Ok(Some(revoked.clone())));
        assert_eq!(find(&store, WORKSPACE, &hash(secret.expose())).await, Ok(None));
        assert_eq!(
            revoke(&store, WORKSPACE, key.id, Timestamp::from_micros(3)).await,
            Ok(Some(revoked.clone()))
        );
        assert_eq!(list(&store, WORKSPACE).await, Ok(vec![revoked]));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_key_is_revoked_by_many_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::sqlite(&folder.path().join("heddle.db")).unwrap();
        for round in 0..20 {
            let (key, _) = create(&store, WORKSPACE, "ci", AT, [round; 48]).await.unwrap();
            let all = (0..8).map(|_| revoke(&store, WORKSPACE, key.id, AT));
            for revoked in futures_util::future::join_all(all).await {
                assert_eq!(revoked, Ok(Some(ApiKey { revoked_at: Some(AT), ..key.clone() })));
            }
        }
    }

    #[tokio::test]
    async fn a_key_of_another_workspace_opens_nothing() {
        let store = Store::memory();
        let (key, secret) = create(&store, WORKSPACE, "ci", AT, [7; 48]).await.unwrap();
        let other = WorkspaceId::from_bits(2);
        assert_eq!(find(&store, other, &hash(secret.expose())).await, Ok(None));
        assert_eq!(revoke(&store, other, key.id, AT).await, Ok(None));
    }

    #[tokio::test]
    async fn the_secret_is_kept_nowhere_and_shows_in_no_log() {
        let store = Store::memory();
        let (key, secret) = create(&store, WORKSPACE, "ci", AT, [7; 48]).await.unwrap();
        assert!(secret.expose().starts_with("hdl_") && secret.expose().len() > 40);
        let kept = store.document(WORKSPACE, KIND, key.id.bits(), None).await.unwrap().unwrap();
        assert!(!String::from_utf8(kept.body).unwrap().contains(secret.expose()));
        assert_eq!(format!("{secret:?}"), "Secret(..)");
    }

    #[test]
    fn a_hash_is_written_in_lower_case_hex() {
        assert_eq!(hex(&[0xab; 32]), "ab".repeat(32));
    }
}
