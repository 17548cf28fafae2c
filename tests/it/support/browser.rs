//! A real Chromium that does what a person does: it finds things by the words on the page.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::broker::client;

/// How long the browser may take to start.
const START: Duration = Duration::from_secs(30);
/// How long a test waits for a page to show something.
const PATIENCE: Duration = Duration::from_secs(20);
/// scripts/bootstrap puts it there.
const AXE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/.run/tools/axe.min.js");

/// How a page is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) name: &'static str,
    /// CSS pixels.
    width: u32,
    height: u32,
    scheme: &'static str,
}

/// A screen on a desk, in the light theme.
pub(crate) const LIGHT: View = View {
    name: "light",
    width: 1280,
    height: 800,
    scheme: "light",
};
/// The same in the dark theme.
pub(crate) const DARK: View = View {
    name: "dark",
    scheme: "dark",
    ..LIGHT
};
/// A phone.
pub(crate) const PHONE: View = View {
    name: "phone",
    width: 390,
    height: 844,
    scheme: "light",
};

/// A browser of the test's own, with one window; it ends with the value.
///
/// Spoken to as W3C's WebDriver says, by ChromeDriver. The dozen calls are made here: of the crates
/// for it one changes the order of all JSON in the tested service (`preserve_order`), the others
/// bring more than they save.
pub(crate) struct Browser {
    http: reqwest::Client,
    session: String,
    /// Chromium hangs on a pipe of it and goes with it, however the test ends.
    _process: Child,
}

impl Browser {
    /// Starts one. What fails panics: it is a fault of the test's surroundings.
    pub(crate) async fn start() -> Self {
        let (process, port) = start_driver().await;
        // Within a container root cannot have Chromium's sandbox; it sees nothing but our own pages.
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--remote-debugging-pipe",
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let mut browser = Self {
            http: client(),
            session: format!("http://127.0.0.1:{port}/session"),
            _process: process,
        };
        let begun = timeout(START, browser.post("", wanted)).await;
        let begun = begun.expect("Chromium starts in time").unwrap();
        let id = begun["sessionId"].as_str().unwrap();
        browser.session = format!("{}/{id}", browser.session);
        browser.look(LIGHT).await;
        browser
    }

    async fn post(&self, path: &str, body: Value) -> Result<Value, Value> {
        let url = format!("{}{path}", self.session);
        self.answer(self.http.post(url).json(&body)).await
    }

    async fn get(&self, path: &str) -> Result<Value, Value> {
        self.answer(self.http.get(format!("{}{path}", self.session)))
            .await
    }

    /// The value of an answer, or of a refusal.
    async fn answer(&self, call: reqwest::RequestBuilder) -> Result<Value, Value> {
        let answer = call.send().await.unwrap();
        let is_done = answer.status().is_success();
        let mut body: Value = answer.json().await.unwrap();
        let value = body["value"].take();
        if is_done { Ok(value) } else { Err(value) }
    }

    /// Does something to an element, as a script has returned it.
    async fn act(&self, element: &Value, what: &str, body: Value) {
        let id = element[ELEMENT].as_str().unwrap();
        let done = self.post(&format!("/element/{id}/{what}"), body).await;
        done.unwrap();
    }

    async fn execute(&self, script: &str, arguments: &[Value]) -> Result<Value, Value> {
        let body = json!({"script": script, "args": arguments});
        self.post("/execute/sync", body).await
    }

    /// Waits until a script finds an element.
    async fn find(&self, what: &str, script: &str, arguments: &[Value]) -> Value {
        let found = async || {
            let found = self.execute(script, arguments).await.ok()?;
            found.is_object().then_some(found)
        };
        self.wait(what, found).await
    }

    /// Goes to an address, and waits until the page is loaded.
    pub(crate) async fn open(&self, url: &str) {
        self.post("/url", json!({"url": url})).await.unwrap();
    }

    /// The address of the page.
    pub(crate) async fn address(&self) -> String {
        let url = self.get("/url").await.unwrap();
        url.as_str().unwrap().to_owned()
    }

    /// The page's visible text.
    pub(crate) async fn text(&self) -> String {
        self.run("return document.body ? document.body.innerText : ''", [])
            .await
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Waits until the page shows this text.
    pub(crate) async fn sees(&self, text: &str) {
        let shown = async || self.text().await.contains(text).then_some(());
        self.wait(&format!("the text {text:?}"), shown).await;
    }

    /// Checks that the loaded page does not show this text.
    pub(crate) async fn misses(&self, text: &str) {
        let shown = self.text().await;
        assert!(!shown.contains(text), "{text:?} is shown: {shown}");
    }

    /// Waits until the address contains this.
    pub(crate) async fn comes_to(&self, part: &str) {
        let there = async || self.address().await.contains(part).then_some(());
        self.wait(&format!("an address with {part}"), there).await;
    }

    /// Waits for something; tells what the page shows where it does not come.
    async fn wait<T>(&self, what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
        let asking = async {
            loop {
                match ask().await {
                    Some(found) => return found,
                    None => sleep(Duration::from_millis(25)).await,
                }
            }
        };
        match timeout(PATIENCE, asking).await {
            Ok(found) => found,
            Err(_) => panic!(
                "not seen within {PATIENCE:?}: {what}; {} shows:\n{}",
                self.address().await,
                self.text().await
            ),
        }
    }

    /// Puts a text into the field with this label, in place of what is there.
    pub(crate) async fn fill(&self, label: &str, text: &str) {
        let field = self.field(label).await;
        self.act(&field, "clear", json!({})).await;
        self.act(&field, "value", json!({"text": text})).await;
    }

    /// The text in the field with this label.
    pub(crate) async fn value(&self, label: &str) -> String {
        let field = self.field(label).await;
        let value = self.run("return arguments[0].value", [field]).await;
        value.as_str().unwrap().to_owned()
    }

    /// Chooses from the list with this label.
    pub(crate) async fn choose(&self, label: &str, option: &str) {
        let list = self.field(label).await;
        let script = "return [...arguments[0].options].find((it) => it.text === arguments[1])";
        let arguments = [list, json!(option)];
        let what = format!("the choice {option:?}");
        let option = self.find(&what, script, &arguments).await;
        self.act(&option, "click", json!({})).await;
    }

    /// Presses the button, or follows the link, that says this, or else begins so: the rest may be
    /// for those who hear the page.
    pub(crate) async fn press(&self, words: &str) {
        self.press_in("", words).await;
    }

    /// The same in the innermost part of the page (a section, a table's row, an entry of a list)
    /// that contains this text.
    pub(crate) async fn press_in(&self, part: &str, words: &str) {
        let what = format!("a button or link {words:?} {part}");
        let arguments = [json!(part), json!(words)];
        let button = self.find(&what, PRESSABLE, &arguments).await;
        let leaves = self.run(LEAVES, [button.clone()]).await;
        self.act(&button, "click", json!({})).await;
        if leaves == true {
            let script = "return window.isLeft !== true && document.readyState === 'complete'";
            let arrived = async || {
                let arrived = self.execute(script, &[]).await.ok()?;
                (arrived == true).then_some(())
            };
            self.wait(&format!("the page behind {words:?}"), arrived)
                .await;
        }
    }

    /// How many elements there are of a CSS selector.
    pub(crate) async fn count(&self, selector: &str) -> u64 {
        let script = "return document.querySelectorAll(arguments[0]).length";
        let found = self.run(script, [json!(selector)]).await;
        found.as_u64().unwrap()
    }

    async fn field(&self, label: &str) -> Value {
        let what = format!("a field labelled {label:?}");
        self.find(&what, FIELD, &[json!(label)]).await
    }

    /// Runs a script's body; its result.
    pub(crate) async fn run<const N: usize>(&self, script: &str, arguments: [Value; N]) -> Value {
        self.execute(script, &arguments).await.unwrap()
    }

    /// Looks at pages in this way from now on.
    pub(crate) async fn look(&self, view: View) {
        let metrics = json!({"width": view.width, "height": view.height, "deviceScaleFactor": 1, "mobile": false});
        let scheme = json!({"features": [{"name": "prefers-color-scheme", "value": view.scheme}]});
        for (command, parameters) in [
            ("Emulation.setDeviceMetricsOverride", metrics),
            ("Emulation.setEmulatedMedia", scheme),
        ] {
            let body = json!({"cmd": command, "params": parameters});
            self.post("/goog/cdp/execute", body).await.unwrap();
        }
    }

    /// A picture (PNG) of the whole page, at most three screens of it.
    pub(crate) async fn screenshot(&self, view: View, path: &Path) {
        self.look(view).await;
        let height = self
            .run("return document.documentElement.scrollHeight", [])
            .await;
        let height = height
            .as_u64()
            .unwrap()
            .clamp(u64::from(view.height), 3 * u64::from(view.height));
        self.look(View {
            height: u32::try_from(height).unwrap(),
            ..view
        })
        .await;
        let picture = self.get("/screenshot").await.unwrap();
        let picture = STANDARD.decode(picture.as_str().unwrap()).unwrap();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, picture).unwrap();
        self.look(view).await;
    }

    /// Whether something reaches beyond the right edge of the window.
    pub(crate) async fn overflows(&self) -> bool {
        let script = "return document.documentElement.scrollWidth > window.innerWidth";
        self.run(script, []).await.as_bool().unwrap()
    }

    /// What axe-core finds on the page: rule, why, and where, one entry for each place.
    pub(crate) async fn violations(&self) -> Vec<String> {
        let axe = fs::read_to_string(AXE)
            .unwrap_or_else(|fault| panic!("{AXE}: {fault}; run scripts/bootstrap tests"));
        self.execute(&axe, &[]).await.unwrap();
        let audit = json!({"script": AUDIT, "args": []});
        let found = self.post("/execute/async", audit).await.unwrap();
        serde_json::from_value(found).unwrap()
    }

    /// Checks the page as a person with any eyes and any device would: axe-core finds nothing in
    /// either theme nor at a phone's width, where nothing runs out of the window; the console has no
    /// complaint.
    pub(crate) async fn passes(&self) {
        let mut faults = Vec::new();
        for view in [LIGHT, DARK, PHONE] {
            self.look(view).await;
            let found = self.violations().await.into_iter();
            faults.extend(found.map(|fault| format!("{}: {fault}", view.name)));
            if self.overflows().await {
                faults.push(format!("{}: wider than the window", view.name));
            }
        }
        self.look(LIGHT).await;
        faults.extend(self.complaints().await);
        let address = self.address().await;
        assert!(faults.is_empty(), "{address}: {faults:#?}");
    }

    /// What the browser complained of since the last look: refused styles and scripts, missing
    /// files. That a page itself was answered with a problem's status is none.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.post("/se/log", json!({"type": "browser"})).await;
        let text = |entry: &Value, key: &str| entry[key].as_str().unwrap().to_owned();
        let log = log.unwrap();
        let bad = log.as_array().unwrap().iter().filter(|entry| {
            let level = text(entry, "level");
            level == "SEVERE" || level == "WARNING"
        });
        let messages = bad.map(|entry| text(entry, "message"));
        messages
            .filter(|message| !is_about_a_page(message))
            .collect()
    }
}

/// Pages have no dot in their path, files do.
fn is_about_a_page(message: &str) -> bool {
    let status = " - Failed to load resource: the server responded with a status of ";
    let Some((address, _)) = message.split_once(status) else {
        return false;
    };
    let url = reqwest::Url::parse(address);
    url.is_ok_and(|url| !url.path().contains('.'))
}

/// Starts ChromeDriver; the port that it has taken.
async fn start_driver() -> (Child, u16) {
    let mut command = Command::new("chromedriver");
    command
        .arg("--port=0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let mut process = command
        .spawn()
        .expect("chromedriver is there: run scripts/bootstrap tests");
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let port = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                return port.trim_end_matches('.').parse().unwrap();
            }
        }
        panic!("chromedriver has ended");
    };
    let port = timeout(START, port).await.expect("a chromedriver");
    // Put back: what it says later, a line or two, has to have somewhere to go.
    process.stdout = Some(lines.into_inner().into_inner());
    (process, port)
}

/// What WebDriver calls an element in JSON.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Marks the page; whether the element leads to another.
const LEAVES: &str = "window.isLeft = true;
const [it] = arguments, href = it.getAttribute('href');
return href ? !href.startsWith('#') : Boolean(it.form) && it.type === 'submit';";

/// The visible control whose label is, or else begins with, this text.
const FIELD: &str = r"
const words = (text) => (text || '').replace(/\s+/g, ' ').trim();
const shown = (element) => element.getClientRects().length > 0;
const labels = [...document.querySelectorAll('label')].filter((it) => it.control && shown(it));
const named = [...document.querySelectorAll('[aria-label]')].filter(shown);
const all = [
  ...labels.map((it) => [words(it.innerText), it.control]),
  ...named.map((it) => [words(it.getAttribute('aria-label')), it]),
];
const found = all.find(([text]) => text === arguments[0])
  || all.find(([text]) => text.startsWith(arguments[0]));
return found ? found[1] : null;
";

/// The visible button or link with this text, or accessible name, in the smallest part of the page
/// that contains the other text.
const PRESSABLE: &str = r#"
const words = (text) => (text || '').replace(/\s+/g, ' ').trim();
const shown = (element) => element.getClientRects().length > 0;
const said = (element) => [element.innerText, element.getAttribute('aria-label'),
  element.tagName === 'INPUT' ? element.value : ''].map(words);
const pressable = 'button, a[href], summary, input[type=submit], [role=button]';
const within = (part) => {
  const all = [...part.querySelectorAll(pressable)].filter(shown);
  return all.find((it) => said(it).includes(arguments[1]))
    || all.find((it) => said(it).some((text) => text.startsWith(arguments[1])));
};
if (!arguments[0]) return within(document) || null;
const parts = [...document.querySelectorAll('section, article, form, fieldset, tr, li, details, dialog')]
  .filter((it) => words(it.innerText).includes(arguments[0]))
  .sort((a, b) => a.innerText.length - b.innerText.length);
for (const part of parts) {
  const found = within(part);
  if (found) return found;
}
return null;
"#;

const AUDIT: &str = r"
const done = arguments[arguments.length - 1];
axe.run(document, { resultTypes: ['violations'] }).then(
  (result) => done(result.violations.flatMap((rule) => rule.nodes.map((node) =>
    `${rule.id} (${rule.impact}): ${node.failureSummary.replace(/\s+/g, ' ')} at ${node.html}`))),
  (fault) => done([`axe-core: ${fault}`]),
);
";
