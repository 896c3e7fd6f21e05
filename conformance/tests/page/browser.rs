//! A headless Chromium, told what to do over its debugging protocol.

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message, WebSocket, connect};

pub(crate) type Fallible<T> = Result<T, Box<dyn Error>>;

/// The names under which systems have it.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
/// For a page to be loaded on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program, if it is installed.
pub(crate) fn program() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    let all = std::env::split_paths(&folders).flat_map(|folder| NAMES.map(|name| folder.join(name)));
    all.into_iter().find(|path| path.is_file())
}

/// A browser that ends when it is dropped.
pub(crate) struct Browser {
    process: Child,
    folder: PathBuf,
    socket: WebSocket<MaybeTlsStream<TcpStream>>,
    last_id: u64,
    /// What scripts of pages have thrown.
    exceptions: Vec<String>,
}

impl Browser {
    /// Starts it with a profile of its own in `folder`.
    pub(crate) fn start(program: &Path, folder: PathBuf) -> Fallible<Self> {
        let options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--remote-debugging-port=0",
            "--window-size=1200,900",
        ];
        let mut command = Command::new(program);
        command.args(options).arg(format!("--user-data-dir={}", folder.display())).arg("about:blank");
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(process.stderr.take().ok_or("a pipe")?).lines();
        let address = loop {
            let line = lines.next().ok_or("the browser ended at once")??;
            if let Some(address) = line.strip_prefix("DevTools listening on ") {
                break address.to_owned();
            }
        };
        // It must not wait for somebody who reads what it complains about.
        thread::spawn(move || lines.for_each(drop));
        let (socket, _) = connect(address)?;
        // A page that shows a dialog answers nothing.
        if let MaybeTlsStream::Plain(stream) = socket.get_ref() {
            stream.set_read_timeout(Some(PATIENCE))?;
        }
        Ok(Self { process, folder, socket, last_id: 0, exceptions: Vec::new() })
    }

    /// A page of its own.
    pub(crate) fn open(&mut self, address: &str) -> Fallible<Tab<'_>> {
        let target = self.call(None, "Target.createTarget", json!({ "url": "about:blank" }))?;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session =
            self.call(None, "Target.attachToTarget", attach)?["sessionId"].as_str().ok_or("a session")?.to_owned();
        let mut tab = Tab { browser: self, session };
        tab.call("Runtime.enable", json!({}))?;
        tab.call("Page.enable", json!({}))?;
        tab.call("Page.navigate", json!({ "url": address }))?;
        tab.wait_for("location.href !== 'about:blank' && document.readyState === 'complete'")?;
        Ok(tab)
    }

    fn call(&mut self, session: Option<&str>, method: &str, parameters: Value) -> Fallible<Value> {
        self.last_id += 1;
        let id = self.last_id;
        let mut request = json!({ "id": id, "method": method, "params": parameters });
        if let Some(session) = session {
            request["sessionId"] = session.into();
        }
        self.socket.send(Message::text(request.to_string()))?;
        loop {
            let Message::Text(text) = self.socket.read()? else { continue };
            let mut answer: Value = serde_json::from_str(&text)?;
            if answer["method"] == "Runtime.exceptionThrown" {
                self.exceptions.push(answer["params"]["exceptionDetails"].to_string());
            }
            if answer["id"] != id {
                continue;
            }
            return match answer.get("error") {
                Some(error) => Err(format!("{method}: {error}").into()),
                None => Ok(answer["result"].take()),
            };
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A page in the browser.
pub(crate) struct Tab<'b> {
    browser: &'b mut Browser,
    session: String,
}

impl Tab<'_> {
    pub(crate) fn call(&mut self, method: &str, parameters: Value) -> Fallible<Value> {
        self.browser.call(Some(&self.session), method, parameters)
    }

    /// The value of an expression of the page.
    pub(crate) fn value(&mut self, expression: &str) -> Fallible<Value> {
        let parameters = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut result = self.call("Runtime.evaluate", parameters)?;
        match result.get("exceptionDetails") {
            Some(details) => Err(format!("{expression}: {details}").into()),
            None => Ok(result["result"]["value"].take()),
        }
    }

    pub(crate) fn text(&mut self, expression: &str) -> Fallible<String> {
        let value = self.value(expression)?;
        Ok(value.as_str().ok_or_else(|| format!("{expression} is no text but {value}"))?.to_owned())
    }

    /// Waits until the expression holds.
    pub(crate) fn wait_for(&mut self, expression: &str) -> Fallible<()> {
        let began = Instant::now();
        while self.value(expression)? != true {
            if began.elapsed() > PATIENCE {
                return Err(format!("{expression} does not hold").into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Presses a key, such as `n` or `Tab`.
    pub(crate) fn press(&mut self, key: &str) -> Fallible<()> {
        let code = if key == "Tab" { 9 } else { 0 };
        let mut parameters = json!({ "type": "keyDown", "key": key, "windowsVirtualKeyCode": code });
        if key.len() == 1 {
            parameters["text"] = key.into();
        }
        self.call("Input.dispatchKeyEvent", parameters)?;
        self.call("Input.dispatchKeyEvent", json!({ "type": "keyUp", "key": key }))?;
        Ok(())
    }

    pub(crate) fn write(&mut self, text: &str) -> Fallible<()> {
        self.call("Input.insertText", json!({ "text": text })).map(drop)
    }

    /// Moves the mouse to the middle of the first element that the selector takes, which is brought into view.
    pub(crate) fn point_at(&mut self, selector: &str) -> Fallible<(f64, f64)> {
        let place = format!(
            "(() => {{ const element = document.querySelector({}); element.scrollIntoView({{ block: 'center' }});
             const box = element.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; }})()",
            Value::from(selector)
        );
        let place = self.value(&place)?;
        let (x, y) = place[0].as_f64().zip(place[1].as_f64()).ok_or("a place")?;
        self.call("Input.dispatchMouseEvent", json!({ "type": "mouseMoved", "x": x, "y": y }))?;
        Ok((x, y))
    }

    pub(crate) fn click(&mut self, selector: &str) -> Fallible<()> {
        let (x, y) = self.point_at(selector)?;
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({ "type": kind, "x": x, "y": y, "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", event)?;
        }
        Ok(())
    }

    /// Fails if a script of a page threw something.
    pub(crate) fn assert_no_exceptions(&self) {
        assert!(self.browser.exceptions.is_empty(), "{:?}", self.browser.exceptions);
    }
}
