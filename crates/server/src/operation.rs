//! One operation as a row of its resource's table: all that the router, `/openapi.json`, the answers of 501
//! and the table of compatibility know of it.

use std::borrow::Cow;

use futures_util::future::BoxFuture;
use schemars::{JsonSchema, SchemaGenerator};

use crate::{
    answer::ApiAnswer,
    call::ApiRequest,
    error::ApiProblem,
    openapi::{bodies::BodyShape, queries::QueryParameter},
    unread::AnswerShape,
};

/// One operation: what it is asked by, what it takes and answers, and what it does.
#[derive(Debug)]
pub(crate) struct Operation {
    /// Whose API it belongs to.
    pub(crate) face: Face,
    pub(crate) method: Method,
    /// Its path, with the names of its parameters in braces.
    pub(crate) path: &'static str,
    /// The contract's name for it, or our own.
    pub(crate) name: &'static str,
    /// What it does, in the words of the first line of its file.
    pub(crate) summary: &'static str,
    /// What a key must be good for.
    pub(crate) scope: KeyScope,
    /// Its query parameters.
    pub(crate) query: &'static [QueryParameter],
    /// What it is sent.
    pub(crate) body: OperationBody,
    /// What it answers with.
    pub(crate) answer: GoodAnswer,
    /// How it refuses, beside what every operation of its kind may say.
    pub(crate) refusals: &'static [u16],
    pub(crate) run: RunOperation,
}

/// A public API in front of the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Face {
    /// The Claude Managed Agents API.
    Claude,
    /// Heddle's own, beside it.
    Heddle,
}

/// An HTTP method that operations have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Post,
    Delete,
}

/// What a key must be good for. Every key is good for all today.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyScope {
    /// To read.
    Read,
    /// To change something.
    Full,
}

/// What an operation is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) enum OperationBody {
    /// Nothing that it would look at.
    None,
    /// This shape; an empty body lacks fields.
    Needed(BodyShape),
    /// This shape; an empty body is an empty object.
    Welcome(BodyShape),
}

/// What an operation answers with.
#[derive(Debug, Clone, Copy)]
pub(crate) enum GoodAnswer {
    /// One of these.
    One(AnswerType),
    /// A page of these.
    Page(AnswerType),
    /// The events that were sent.
    Sent,
    /// The id of what is gone, with this `type`.
    Gone(&'static str),
    /// A stream of events.
    Stream,
    /// Any object.
    Object,
    /// Nothing: it is not built.
    Nothing,
}

/// A type that answers are made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AnswerType {
    /// Its name among the schemas of `/openapi.json`.
    pub(crate) name: fn() -> Cow<'static, str>,
    /// Adds its schema to them.
    pub(crate) describe: fn(&mut SchemaGenerator),
}

impl AnswerType {
    const fn of<T: JsonSchema>() -> Self {
        Self {
            name: T::schema_name,
            describe: |generator| {
                generator.subschema_for::<T>();
            },
        }
    }
}

/// What an operation does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RunOperation {
    /// This.
    Served(fn(ApiRequest) -> CallOutcome),
    /// It says that it is not built yet.
    NotBuilt,
    /// It says that it never will be: it sets keys and buckets of Google's cloud for what the hosted service
    /// keeps there.
    OfGoogle,
}

/// What comes of a call.
pub(crate) type CallOutcome = BoxFuture<'static, Result<ApiAnswer, ApiProblem>>;

/// An operation that reads.
pub(crate) const fn get(path: &'static str, name: &'static str, summary: &'static str) -> Operation {
    row(Method::Get, path, name, summary)
}

/// An operation that makes or changes something.
pub(crate) const fn post(path: &'static str, name: &'static str, summary: &'static str) -> Operation {
    row(Method::Post, path, name, summary)
}

/// An operation that removes something.
pub(crate) const fn delete(path: &'static str, name: &'static str, summary: &'static str) -> Operation {
    row(Method::Delete, path, name, summary)
}

const fn row(method: Method, path: &'static str, name: &'static str, summary: &'static str) -> Operation {
    let scope = match method {
        Method::Get => KeyScope::Read,
        Method::Post | Method::Delete => KeyScope::Full,
    };
    Operation {
        face: Face::Claude,
        method,
        path,
        name,
        summary,
        scope,
        query: &[],
        body: OperationBody::None,
        answer: GoodAnswer::Nothing,
        refusals: &[],
        run: RunOperation::NotBuilt,
    }
}

impl Operation {
    /// Of this face.
    pub(crate) const fn of(self, face: Face) -> Self {
        Self { face, ..self }
    }

    /// With these query parameters.
    pub(crate) const fn asks(self, query: &'static [QueryParameter]) -> Self {
        Self { query, ..self }
    }

    /// With this body.
    pub(crate) const fn takes(self, body: OperationBody) -> Self {
        Self { body, ..self }
    }

    /// Refuses with these, too.
    pub(crate) const fn refuses(self, refusals: &'static [u16]) -> Self {
        Self { refusals, ..self }
    }

    /// Answers with this, after `run`.
    pub(crate) const fn gives(self, answer: GoodAnswer, run: fn(ApiRequest) -> CallOutcome) -> Self {
        Self { answer, run: RunOperation::Served(run), ..self }
    }

    /// Is not built, and never will be.
    pub(crate) const fn of_google(self) -> Self {
        Self { run: RunOperation::OfGoogle, ..self }
    }

    /// Whether it does something.
    pub(crate) fn is_served(&self) -> bool {
        match self.run {
            RunOperation::Served(_) => true,
            RunOperation::NotBuilt | RunOperation::OfGoogle => false,
        }
    }

    /// Does it.
    pub(crate) fn run(&self, call: ApiRequest) -> CallOutcome {
        let problem = match self.run {
            RunOperation::Served(run) => return run(call),
            RunOperation::NotBuilt => ApiProblem::not_built(self.name),
            RunOperation::OfGoogle => ApiProblem::of_google(self.name),
        };
        Box::pin(std::future::ready(Err(problem)))
    }
}

impl OperationBody {
    /// The shape of what it is sent.
    pub(crate) fn shape(self) -> Option<BodyShape> {
        match self {
            Self::None => None,
            Self::Needed(shape) | Self::Welcome(shape) => Some(shape),
        }
    }
}

impl GoodAnswer {
    /// One of these.
    pub(crate) const fn one<T: JsonSchema>() -> Self {
        Self::One(AnswerType::of::<T>())
    }

    /// A page of these.
    pub(crate) const fn page<T: JsonSchema>() -> Self {
        Self::Page(AnswerType::of::<T>())
    }

    /// How large an answer may be.
    pub(crate) fn size(self) -> AnswerShape {
        match self {
            Self::Page(_) | Self::Object => AnswerShape::Page,
            Self::One(_) | Self::Sent | Self::Gone(_) | Self::Stream | Self::Nothing => AnswerShape::Thing,
        }
    }

    /// What it is a page of.
    pub(crate) fn listed(self) -> Option<AnswerType> {
        match self {
            Self::Page(of) => Some(of),
            Self::One(_) | Self::Sent | Self::Gone(_) | Self::Stream | Self::Object | Self::Nothing => None,
        }
    }

    /// What it is made of.
    pub(crate) fn made_of(self) -> Option<AnswerType> {
        match self {
            Self::One(of) | Self::Page(of) => Some(of),
            Self::Sent | Self::Gone(_) | Self::Stream | Self::Object | Self::Nothing => None,
        }
    }
}

impl Method {
    /// As HTTP writes it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}
