//! The page of a report, in a browser: what is chosen, opened and read with mouse and keys; narrow, dark and printed.

mod browser;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use browser::{Browser, Fallible, Tab};
use serde_json::json;

/// Ids of the requirements that are shown.
const SHOWN: &str = "[...document.querySelectorAll('.requirement:not([hidden])')].filter(one => one.offsetParent).map(one => one.id).join(' ')";
const HASH: &str = "location.hash";
/// The id of the requirement that has the focus.
const FOCUSED: &str = "document.activeElement.closest('.requirement')?.id ?? ''";
const LIT: &str = "[...document.querySelectorAll('.bytes .lit')].map(one => one.textContent).join('|')";

/// Runs the tool in `folder`, whatever it exits with.
fn conformance(folder: &Path, arguments: &[&str]) -> Fallible<()> {
    let output = Command::new(env!("CARGO_BIN_EXE_conformance")).args(arguments).current_dir(folder).output()?;
    let code = output.status.code();
    assert!(matches!(code, Some(0 | 1)), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The page of a run of an oracle that takes an unknown flag, and that of this run beside one of an oracle without a bug.
fn pages(folder: &Path) -> Fallible<(String, String)> {
    let run = |subject: &str, lines: &str| {
        let subject = format!("oracle-in-memory:{subject}");
        conformance(folder, &["--subject", &subject, "--area", "header", "--json-lines", lines, "--html", "one.html"])
    };
    run("none", "before.jsonl")?;
    run("accepts-unknown-flag", "after.jsonl")?;
    conformance(folder, &["report", "before.jsonl", "after.jsonl", "--html", "two.html"])?;
    let address = |name: &str| format!("file://{}", folder.join(name).display());
    Ok((address("one.html"), address("two.html")))
}

#[test]
fn a_report_works_in_a_browser() -> Fallible<()> {
    let Some(program) = browser::program() else {
        assert!(std::env::var_os("CI").is_none(), "Chromium is not installed: .ci/run installs it");
        eprintln!("SKIPPED: Chromium is not installed, so no page was tried");
        return Ok(());
    };
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("page");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let (one, two) = pages(&folder)?;
    let mut browser = Browser::start(&program, folder.join("profile"))?;
    filters_stay_in_the_address(&mut browser, &one)?;
    a_failure_opens_and_its_fields_can_be_read(browser.open(&one)?)?;
    keys_lead_from_failure_to_failure(browser.open(&one)?)?;
    it_is_narrow_dark_and_printed(browser.open(&format!("{one}#open=PW-HDR-005"))?)?;
    runs_stand_side_by_side(browser.open(&two)?)?;
    what_a_peer_chose_is_only_text(&mut browser, &folder)
}

fn filters_stay_in_the_address(browser: &mut Browser, page: &str) -> Fallible<()> {
    let mut tab = browser.open(page)?;
    let all = tab.text(SHOWN)?;
    assert!(all.split(' ').count() > 10 && all.split(' ').all(|id| id.starts_with("PW-HDR-")), "{all}");
    tab.press("/")?;
    tab.write("unknown flag")?;
    let found = tab.text(SHOWN)?;
    assert!(found.contains("PW-HDR-005") && found.len() < all.len(), "{found}");
    tab.click("input[name=show][value=fail]")?;
    let failed = tab.text(SHOWN)?;
    assert!(failed.contains("PW-HDR-005") && failed.len() <= found.len(), "{failed}");
    let hash = tab.text(HASH)?;
    assert_eq!(hash, "#q=unknown+flag&show=fail");
    tab.assert_no_exceptions();
    let mut again = browser.open(&format!("{page}{hash}"))?;
    assert_eq!(again.text(SHOWN)?, failed);
    assert_eq!(again.text("document.getElementById('search').value")?, "unknown flag");
    again.press("/")?;
    again.write(" zzz")?;
    assert_eq!(
        (again.text(SHOWN)?, again.value("document.getElementById('nothing').hidden")?),
        (String::new(), json!(false))
    );
    again.click("#show-all")?;
    again.wait_for("location.hash === ''")?;
    assert_eq!(again.text(SHOWN)?, all);
    again.assert_no_exceptions();
    Ok(())
}

fn a_failure_opens_and_its_fields_can_be_read(mut tab: Tab<'_>) -> Fallible<()> {
    tab.click(".cell[data-for='PW-HDR-005']")?;
    tab.wait_for("location.hash === '#open=PW-HDR-005'")?;
    let failure = "#PW-HDR-005 details.failure[open]";
    let sent = format!("{failure} .step.sent.damaged details");
    tab.click(&format!("{sent} > summary"))?;
    assert_eq!(tab.value(&format!("document.querySelector({sent:?}).open"))?, true);
    // The flags, with the bit that is not defined.
    tab.point_at(&format!("{sent} tr[data-field='2'] .value"))?;
    assert_eq!(tab.text(LIT)?, "15");
    assert!(tab.text(&format!("document.querySelector({:?}).textContent", format!("{sent} tr.lit")))?.contains("0x10"));
    tab.value(&format!("document.querySelector({:?}).focus()", format!("{sent} tr[data-field='0']")))?;
    assert_eq!(tab.text(LIT)?, "f7 9a");
    // From field to field by the keyboard.
    tab.press("Tab")?;
    assert_eq!(tab.text(LIT)?, "04");
    // From the bytes to their field.
    tab.point_at(&format!("{sent} .bytes [data-field='4']"))?;
    let field = tab.text(&format!("document.querySelector({:?}).textContent", format!("{sent} tr.lit")))?;
    assert!(field.starts_with("length5 bytes"), "{field}");
    let due = tab.text(&format!("document.querySelector({:?}).textContent", format!("{failure} .step.unmet")))?;
    assert!(due.contains("CLOSE with UNKNOWN_FLAG"), "{due}");
    tab.assert_no_exceptions();
    Ok(())
}

fn keys_lead_from_failure_to_failure(mut tab: Tab<'_>) -> Fallible<()> {
    tab.press("n")?;
    let first = tab.text(FOCUSED)?;
    assert_eq!(first, "PW-HDR-005");
    tab.press("n")?;
    let second = tab.text(FOCUSED)?;
    assert!(second > first, "{second}");
    assert_eq!(tab.text(HASH)?, format!("#open={second}"), "the first is closed again");
    tab.press("p")?;
    assert_eq!(tab.text(FOCUSED)?, first);
    tab.press("Escape")?;
    assert_eq!((tab.text(FOCUSED)?, tab.text(HASH)?), (first, String::new()));
    tab.assert_no_exceptions();
    Ok(())
}

fn it_is_narrow_dark_and_printed(mut tab: Tab<'_>) -> Fallible<()> {
    let narrow = json!({ "width": 340, "height": 700, "deviceScaleFactor": 1, "mobile": true });
    tab.call("Emulation.setDeviceMetricsOverride", narrow)?;
    tab.wait_for("innerWidth === 340")?;
    tab.value("document.querySelectorAll('#PW-HDR-005 details').forEach(one => one.open = true)")?;
    assert_eq!(tab.value("document.documentElement.scrollWidth")?, 340, "nothing has to be pushed aside");
    let background = "getComputedStyle(document.body).backgroundColor";
    assert_eq!(tab.text(background)?, "rgb(255, 255, 255)");
    let dark = json!({ "features": [{ "name": "prefers-color-scheme", "value": "dark" }] });
    tab.call("Emulation.setEmulatedMedia", dark)?;
    assert_eq!(tab.text(background)?, "rgb(20, 23, 28)");
    tab.call("Emulation.setEmulatedMedia", json!({ "media": "print" }))?;
    assert_eq!(tab.text("getComputedStyle(document.getElementById('filters')).display")?, "none");
    tab.assert_no_exceptions();
    Ok(())
}

fn runs_stand_side_by_side(mut tab: Tab<'_>) -> Fallible<()> {
    assert_eq!(tab.value("document.querySelectorAll('.run').length")?, 2);
    let changes = tab.text("document.querySelector('.changes tbody').textContent")?;
    assert!(changes.contains("PW-HDR-005/unknown-flag") && changes.contains("✓ pass✗ fail"), "{changes}");
    assert_eq!(tab.value("document.querySelectorAll('.changes tr.better').length")?, 0);
    let all = tab.text(SHOWN)?;
    tab.click("#changed")?;
    let changed = tab.text(SHOWN)?;
    assert!(changed.contains("PW-HDR-005") && changed.len() < all.len(), "{changed}");
    assert_eq!(tab.text("document.querySelector('#PW-HDR-005 .ticks').textContent")?, "✓✗");
    tab.assert_no_exceptions();
    Ok(())
}

fn what_a_peer_chose_is_only_text(browser: &mut Browser, folder: &Path) -> Fallible<()> {
    let evil = "</script></style><img src=x onerror=alert(1)>\" onclick=\"x' {{7*7}}";
    let lines = fs::read_to_string(folder.join("after.jsonl"))?;
    let name = json!(evil).to_string();
    let lines = lines.replace("\"oracle-in-memory:accepts-unknown-flag\"", &name);
    // A reason too, and what the steps of its trace say.
    let reason = json!(format!("came {evil}")).to_string();
    let lines = lines.replace("\"DATA of 5 bytes came instead of CLOSE with UNKNOWN_FLAG\"", &reason);
    fs::create_dir_all(folder.join("traces"))?;
    for entry in fs::read_dir(folder.join("target/conformance/traces"))? {
        let path = entry?.path();
        let trace = fs::read_to_string(&path)?;
        let trace = trace
            .replace("\"oracle-in-memory:accepts-unknown-flag\"", &name)
            .replace("\"text\":\"DATA class 0", &format!("\"text\":{}", reason.trim_end_matches('"')));
        let trace = trace.replace("DATA of 5 bytes came instead of CLOSE with UNKNOWN_FLAG", reason.trim_matches('"'));
        fs::write(folder.join("traces").join(path.file_name().ok_or("a name")?), trace)?;
    }
    let lines = lines.replace("target/conformance/traces/", "nowhere/");
    fs::write(folder.join("evil.jsonl"), lines)?;
    conformance(folder, &["report", "evil.jsonl", "--html", "evil.html"])?;
    let mut tab = browser.open(&format!("file://{}", folder.join("evil.html").display()))?;
    assert_eq!(tab.value("document.querySelectorAll('img, [onclick], [onerror]').length")?, 0);
    assert_eq!(tab.value("document.scripts.length")?, 1);
    assert_eq!(tab.text("document.querySelector('.run h2').textContent")?, evil);
    let steps = tab.value(
        "[...document.querySelectorAll('.step .what')].filter(one => one.textContent.includes('onerror')).length",
    )?;
    assert!(steps.as_u64().is_some_and(|count| count > 1), "the steps are shown: {steps}");
    tab.assert_no_exceptions();
    Ok(())
}
