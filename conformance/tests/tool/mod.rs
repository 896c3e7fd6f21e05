//! The tool in a folder of its own, for tests.

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

pub(crate) type Tested = Result<(), Box<dyn Error>>;

/// A folder for the files of one test, and the tool with its files there.
pub(crate) struct Tool {
    pub(crate) folder: PathBuf,
}

impl Tool {
    pub(crate) fn new(name: &str) -> Result<Self, Box<dyn Error>> {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    /// The tool is run in the folder of the test, so that its files have their ordinary names.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_conformance"));
        // A build server's own summary is none of a test's.
        command.args(arguments).current_dir(&self.folder).env_remove("GITHUB_STEP_SUMMARY");
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Result<Output, Box<dyn Error>> {
        Ok(self.command(arguments).output()?)
    }

    #[allow(dead_code, reason = "some tests look at what the tool printed alone")]
    pub(crate) fn report(&self) -> Result<serde_json::Value, Box<dyn Error>> {
        Ok(serde_json::from_str(&self.read("target/conformance/report.json")?)?)
    }

    #[allow(dead_code, reason = "as above")]
    pub(crate) fn read(&self, name: &str) -> Result<String, Box<dyn Error>> {
        let path = self.folder.join(name);
        fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()).into())
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> Tested {
        Ok(fs::write(self.folder.join(name), text)?)
    }
}

/// What it printed.
pub(crate) fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[track_caller]
pub(crate) fn assert_code(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}", text(output));
}
