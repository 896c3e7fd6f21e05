//! Lists the cases for the macro `tests!`, which needs their names when it is compiled: a macro cannot ask [`cases`] for them.
//!
//! [`cases`]: ../src/cases.rs

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write;
use std::fs;
use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=src/cases");
    let mut areas: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for id in ids(Path::new("src/cases")) {
        let letters = id.split('-').nth(1).expect("an id has an area").to_owned();
        areas.entry(letters).or_default().push(id);
    }
    let folder = env::var("OUT_DIR").expect("cargo names the folder");
    fs::write(Path::new(&folder).join("each_case.rs"), each_case(&areas)).expect("the folder can be written to");
}

/// The ids of all cases: the first thing of each `case!`. A test of `harness.rs` compares them with the cases.
fn ids(folder: &Path) -> Vec<String> {
    let mut ids = Vec::new();
    for entry in fs::read_dir(folder).expect("the cases are there") {
        let text = fs::read_to_string(entry.expect("an entry").path()).expect("a file of cases");
        for case in text.split("case!(").skip(1) {
            let id = case.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next());
            ids.push(id.expect("a case begins with its id").to_owned());
        }
    }
    ids.sort();
    ids
}

/// A macro that makes a test of each case of one area, or of all.
fn each_case(areas: &BTreeMap<String, Vec<String>>) -> String {
    let mut text = String::from("#[doc(hidden)]\n#[macro_export]\nmacro_rules! __each_case {\n");
    for (letters, ids) in areas {
        writeln!(text, "    ($subject:expr, {letters}) => {{").expect("a string takes everything");
        for id in ids {
            let name = id.to_lowercase().replace(['-', '/'], "_");
            writeln!(text, "        $crate::__case_test!($subject, {name}, {id:?});")
                .expect("a string takes everything");
        }
        text.push_str("    };\n");
    }
    text.push_str("    ($subject:expr, all) => {\n");
    for letters in areas.keys() {
        writeln!(text, "        $crate::__each_case!($subject, {letters});").expect("a string takes everything");
    }
    text.push_str("    };\n}\n");
    text
}
