//! The example of TLS, run as its documentation says.

use std::path::PathBuf;

use crate::programs::Running;

/// A folder that is gone with this.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        Self(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id())))
    }

    fn as_str(&self) -> &str {
        self.0.to_str().expect("a path of letters")
    }

    fn certify(&self) {
        Running::start("tls", &["certificates", self.as_str()]).until_success();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Lines come back; new certificates count without a restart, and who is connected stays.
#[test]
fn certificates_are_shown_and_replaced() {
    let folder = Folder::new("certificates");
    folder.certify();
    let server = Running::start("tls", &["server", folder.as_str(), "--listen", "127.0.0.1:0"]);
    let address = server.until("listening on ").trim_start_matches("listening on ").to_owned();
    let mut old = Running::start("tls", &["client", folder.as_str(), &address]);
    old.type_line("before");
    old.until("came back: before");

    folder.certify();
    server.until("new certificates count from now on");
    let mut new = Running::start("tls", &["client", folder.as_str(), &address]);
    new.type_line("after");
    new.until("came back: after");
    old.type_line("still here");
    old.until("came back: still here");
    old.end_input();
    new.end_input();
}
