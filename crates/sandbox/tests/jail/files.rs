//! Files of the host: nothing but the system can be seen, and nothing of it can be written.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};

use std::path::Path;

use sandbox::StartStep;

use crate::world::{Answer, World, alone, is_root, outside, start, try_start};

#[test]
fn the_root_holds_the_system_and_the_jails_own_places_only() {
    let mut jail = alone();
    let seen = jail.bash("cd /; ls -d bin dev etc home mnt proc run tmp usr var workspace; ls /home /mnt /var /mnt/session /run");
    let lines = "bin\ndev\netc\nhome\nmnt\nproc\nrun\ntmp\nusr\nvar\nworkspace\n\
                 /home:\nagent\n\n/mnt:\nsession\n\n/mnt/session:\noutputs\ntool_results\n\n/run:\n\n/var:\ntmp";
    assert_eq!(seen, Answer::new(0, lines));
    let others = jail
        .bash("ls -A / | grep -vxE 'bin|sbin|lib[0-9x]*|dev|etc|home|mnt|proc|run|tmp|usr|var|workspace'");
    assert_eq!(others, Answer::new(1, ""));
    let secrets = jail.bash("ls -d /root /sys /boot /srv /etc/shadow /etc/ssl/private /home/* 2>/dev/null");
    assert_eq!(secrets, Answer::new(2, "/home/agent"));
}

#[test]
fn only_the_sessions_own_places_can_be_written() {
    let mut jail = alone();
    let table = "cut -d' ' -f5,6 /proc/self/mountinfo | grep ' rw' | cut -d' ' -f1 | sort";
    let places =
        "/dev/pts\n/dev/shm\n/home/agent\n/mnt/session/outputs\n/mnt/session/tool_results\n/tmp\n/workspace";
    assert_eq!(jail.bash(table), Answer::new(0, places));
    for place in
        ["/workspace", "/home/agent", "/mnt/session/outputs", "/mnt/session/tool_results", "/tmp", "/var/tmp"]
    {
        assert_eq!(
            jail.bash(&format!("echo yes > {place}/f && cat {place}/f")),
            Answer::new(0, "yes"),
            "{place}"
        );
    }
    for place in
        ["/", "/usr", "/usr/bin", "/etc", "/dev", "/home", "/mnt/session", "/var", "/run", "/etc/ssl/certs"]
    {
        let answer = jail.bash(&format!("touch {place}/f"));
        assert_eq!(answer.code, Some(1), "{place}: {}", answer.said);
        assert!(answer.said.ends_with("Read-only file system"), "{place}: {}", answer.said);
    }
    let answer =
        jail.bash("echo 'x:x:0:0::/:/bin/sh' >> /etc/passwd; chmod 777 /etc/passwd; rm -f /etc/hosts");
    assert_eq!(answer.said.matches("Read-only file system").count(), 3, "{}", answer.said);
}

#[test]
fn what_a_jail_writes_lies_in_the_sessions_folder() {
    let world = World::new();
    let plan = world.plan("a");
    let mut jail = start(&plan);
    jail.bash(
        "echo 1 > w; echo 2 > ~/h; echo 3 > /mnt/session/outputs/o; echo 4 > /mnt/session/tool_results/r",
    );
    jail.jail.end();
    let files = ["workspace/w", "home/h", "outputs/o", "results/r"].map(|file| plan.folder.join(file));
    assert_eq!(files.map(|file| fs::read_to_string(file).unwrap()), ["1\n", "2\n", "3\n", "4\n"]);
}

#[test]
fn neither_the_data_directory_nor_another_session_can_be_reached() {
    let world = World::new();
    let other = world.plan("other");
    let secret = other.folder.join("workspace/secret");
    fs::write(&secret, "secret").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o666)).unwrap();
    let cat = format!("cat {}", secret.display());
    assert_eq!(outside("bash", &cat), Answer::new(0, "secret"));

    let mine = world.plan("mine");
    symlink(&secret, mine.folder.join("workspace/link")).unwrap();
    let mut jail = start(&mine);
    let up = format!(
        "cat /proc/self/cwd/../../../other/workspace/secret /workspace/../../other/workspace/secret {0} \
                      /proc/self/root{0} /workspace/link",
        secret.display()
    );
    let answer = jail.bash(&up);
    assert_eq!(
        (answer.code, answer.said.matches("No such file or directory").count()),
        (Some(1), 5),
        "{}",
        answer.said
    );
    // A hard link needs the file, and the two folders are different mounts even for a file that can be named.
    assert!(jail.bash("echo x > a; ln a ~/b").said.contains("Invalid cross-device link"));
}

#[test]
fn a_file_handle_of_the_host_opens_nothing() {
    let world = World::new();
    let mut jail = world.jail("a");
    // Every file system is known by a mount inside, so only the number of the file would be missing.
    let script = "import ctypes,os
libc=ctypes.CDLL(None,use_errno=True)
h=ctypes.create_string_buffer(136); ctypes.memmove(h,(128).to_bytes(4,'little'),4); m=ctypes.c_int()
print(libc.name_to_handle_at(-100,b'/workspace',h,ctypes.byref(m),0))
print(libc.open_by_handle_at(os.open('/workspace',0),h,0),os.strerror(ctypes.get_errno()))";
    assert_eq!(jail.python(script), Answer::new(0, "0\n-1 Operation not permitted"));
}

#[test]
fn trees_of_the_plan_are_shown_read_only_at_the_same_path() {
    let world = World::new();
    let tree = tempfile::tempdir().unwrap();
    fs::set_permissions(tree.path(), fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(tree.path().join("a b"), "shown").unwrap();
    let mut plan = world.plan("a");
    plan.readonly = vec![tree.path().to_owned()];
    let mut jail = start(&plan);
    let path = tree.path().display();
    assert_eq!(jail.bash(&format!("cat '{path}/a b'")), Answer::new(0, "shown"));
    assert!(jail.bash(&format!("touch {path}/new")).said.ends_with("Read-only file system"));
}

#[test]
fn a_tree_that_would_open_the_jail_is_refused_by_name() {
    let world = World::new();
    let plan = world.plan("a");
    let place = world.place.path().to_owned();
    let link = tempfile::tempdir().unwrap();
    symlink(&place, link.path().join("data")).unwrap();
    fs::set_permissions(link.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(place.join("data"), fs::Permissions::from_mode(0o755)).unwrap();
    let own = [
        "/".into(),
        "/home".into(),
        "/tmp".into(),
        "/etc".into(),
        "/proc/1".into(),
        "/sys/kernel".into(),
        "/dev/mem".into(),
        "relative".into(),
        "/usr/../root".into(),
        "/nowhere-at-all".into(),
        place.join("data/sandboxes"),
        place.join("data"),
        plan.folder.clone(),
        link.path().join("data"),
    ];
    for tree in own {
        let fault = try_start(&sandbox::JailPlan { readonly: vec![tree.clone()], ..plan.clone() }).err();
        let fault = fault.unwrap_or_else(|| panic!("{} was shown", tree.display()));
        assert_eq!(fault.step, StartStep::Readonly, "{}: {fault}", tree.display());
        assert!(fault.to_string().contains(&*tree.to_string_lossy()), "{fault}");
    }
}

#[test]
fn device_nodes_can_neither_be_made_nor_used() {
    let world = World::new();
    let plan = world.plan("a");
    if is_root() {
        let node = plan.folder.join("workspace/zero");
        let zero = rustix::fs::makedev(1, 5);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &node,
            rustix::fs::FileType::CharacterDevice,
            0o666.into(),
            zero,
        )
        .unwrap();
        fs::set_permissions(&node, fs::Permissions::from_mode(0o666)).unwrap();
        chown(&node, Some(crate::world::FIRST), Some(crate::world::FIRST)).unwrap();
        assert_eq!(outside("bash", &format!("head -c 3 {} | wc -c", node.display())), Answer::new(0, "3"));
    }
    let mut jail = start(&plan);
    if is_root() {
        assert_eq!(
            jail.bash("head -c 3 zero").said,
            "head: cannot open 'zero' for reading: Permission denied"
        );
    }
    for node in ["disk b 8 0", "disk b 254 0", "mem c 1 1", "null c 1 3"] {
        let answer = jail.bash(&format!("mknod /tmp/{node}"));
        assert!(answer.said.ends_with("Operation not permitted"), "{node}: {}", answer.said);
    }
    let devices = "fd\nfull\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero";
    assert_eq!(jail.bash("ls /dev"), Answer::new(0, devices));
    assert_eq!(
        jail.bash("head -c 5 /dev/zero | wc -c; echo x > /dev/null; echo out > /dev/stdout"),
        Answer::new(0, "5\nout")
    );
}

#[test]
fn the_kernels_settings_cannot_be_written_and_sys_is_absent() {
    let mut jail = alone();
    assert_eq!(jail.bash("ls -d /sys").code, Some(2));
    let answer = jail.bash("echo 1 > /proc/sys/kernel/core_pattern");
    assert!(answer.said.ends_with("Read-only file system"), "{}", answer.said);
    if !Path::new("/proc/sysrq-trigger").exists() {
        return;
    }
    let answer = jail.bash("echo x > /proc/sysrq-trigger");
    assert!(
        answer.said.ends_with("Read-only file system") || answer.said.ends_with("denied"),
        "{}",
        answer.said
    );
}
