//! Folders: made private, listed with their time, and removed whatever is in them.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use sandbox::SessionFolders;

use crate::world::{World, start};

fn names(folders: &SessionFolders) -> Vec<String> {
    let mut names: Vec<String> = folders.list().unwrap().into_iter().map(|(name, _)| name).collect();
    names.sort();
    names
}

#[test]
fn a_folder_is_private_and_made_once() {
    let world = World::new();
    let folder = world.folders.make("a").unwrap();
    fs::write(folder.join("workspace/kept"), "").unwrap();
    assert_eq!(world.folders.make("a").unwrap(), folder);
    // A jail's user passes through its folder, and nobody comes as far as that.
    for (part, mode) in [
        ("", 0o711),
        ("..", 0o700),
        ("workspace", 0o700),
        ("home", 0o700),
        ("outputs", 0o700),
        ("results", 0o700),
    ] {
        assert_eq!(fs::metadata(folder.join(part)).unwrap().mode() & 0o7777, mode, "{part}");
    }
    assert!(folder.join("workspace/kept").exists());
    assert_eq!(names(&world.folders), ["a"]);
    let room = world.folders.room().unwrap();
    assert!(room.bytes > 0 && room.entries > 0);
}

#[test]
fn a_folder_is_listed_with_the_time_of_its_last_use() {
    let world = World::new();
    let folder = world.folders.make("a").unwrap();
    let old = std::time::SystemTime::UNIX_EPOCH;
    fs::File::open(folder.join("used")).unwrap().set_modified(old).unwrap();
    assert_eq!(world.folders.list().unwrap(), [("a".to_owned(), old)]);
    world.folders.make("a").unwrap();
    assert!(world.folders.list().unwrap()[0].1 > old);
    assert_eq!(SessionFolders::new(world.place.path().join("none"), world.users.clone()).list().unwrap(), []);
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let world = World::new();
    for name in ["", ".", "..", "a/b", "/etc", "a\0b", &"x".repeat(129)] {
        assert_eq!(world.folders.make(name).unwrap_err().kind(), ErrorKind::InvalidInput, "{name:?}");
        assert_eq!(world.folders.remove(name).unwrap_err().kind(), ErrorKind::InvalidInput, "{name:?}");
    }
}

#[test]
fn a_removal_takes_any_tree_and_follows_no_link() {
    let world = World::new();
    let outer = world.place.path().join("precious");
    fs::create_dir(&outer).unwrap();
    fs::write(outer.join("file"), "").unwrap();
    let plan = world.plan("a");
    symlink(&outer, plan.folder.join("workspace/link")).unwrap();
    symlink("/", plan.folder.join("home/root")).unwrap();
    let mut jail = start(&plan);
    let deep = "import os
for _ in range(5000):
  os.mkdir('d'); open('f','w').close(); os.chdir('d')
os.chdir('/workspace'); os.mkdir('shut'); os.mkdir('shut/in'); open('shut/in/f','w').close()
os.mkfifo('pipe'); os.mkdir('.removed-1'); os.mkdir('.removed-1/x'); os.symlink('shut','to-shut')
os.mkdir('many')
for i in range(3000): open('many/%d'%i,'w').close(); i%3 or os.mkdir('many/d%d'%i)
for p in ('shut/in','shut','d','many'): os.chmod(p,0)
os.chmod('/workspace',0)";
    assert_eq!(jail.python(deep).said, "");
    jail.jail.end();
    world.folders.remove("a").unwrap();
    assert_eq!(names(&world.folders), Vec::<String>::new());
    assert!(!plan.folder.exists());
    assert!(outer.join("file").exists() && Path::new("/usr").exists());
    world.folders.remove("a").unwrap();
}

#[test]
fn a_link_in_place_of_a_folder_is_not_followed() {
    let world = World::new();
    world.folders.make("a").unwrap();
    let outer = world.place.path().join("precious");
    fs::create_dir(&outer).unwrap();
    fs::write(outer.join("file"), "").unwrap();
    symlink(&outer, world.place.path().join("data/sandboxes/b")).unwrap();
    world.folders.remove("b").unwrap_err();
    world.folders.make("b").unwrap_err();
    assert!(outer.join("file").exists());
}

#[test]
fn a_folder_in_use_is_not_removed() {
    let world = World::new();
    let plan = world.plan("a");
    let jail = start(&plan);
    std::thread::scope(|scope| {
        let removal = scope.spawn(|| world.folders.remove("a"));
        // It waits for the lock, and nothing of the folder is gone meanwhile.
        let folder = fs::metadata(plan.folder.join("workspace")).unwrap();
        assert_eq!(folder.permissions().mode() & 0o777, 0o700);
        jail.jail.end();
        removal.join().unwrap().unwrap();
    });
    assert!(!plan.folder.exists());
}
