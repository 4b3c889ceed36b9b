//! Repositories that mean harm: each is refused with a reason by whoever downloads it and by whoever only looks at it, and
//! models that do harm when they answer fail alone. Nothing hangs, and nothing takes much memory.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::folder::sprout;
use tests::footprint::Footprint;
use tests::hub::trial::{REPOSITORY, check_files, pull};
use tests::hub::{Fault, Faults, RepositoryFile, Snapshot, TestHub, model, of_folder};
use tests::nodes::{Node, NodeOptions};

/// Whatever is asked is answered within this time.
const LIMIT: Duration = Duration::from_secs(30);
/// No program that reads a hostile repository holds more than this, in kilobytes.
const MEMORY_KB_MAX: u64 = 400_000;

/// A repository, what a download says of it, and what looking at it says.
struct Case {
    snapshot: Snapshot,
    redirect: Option<&'static str>,
    pulled: &'static str,
    looked: &'static str,
}

impl Case {
    fn of(snapshot: Snapshot, pulled: &'static str, looked: &'static str) -> Self {
        Self {
            snapshot,
            redirect: None,
            pulled,
            looked,
        }
    }

    /// A file more, whose name is what is wrong.
    fn name(name: &str, words: &'static str) -> Self {
        let weights = model(6, 1000).files["model-0.safetensors"].clone();
        Self::of(with(&[(name, weights)]), words, words)
    }

    /// Weights whose header is this.
    fn header(length: u64, header: &[u8], pulled: &'static str, looked: &'static str) -> Self {
        let bytes = [&length.to_le_bytes()[..], header].concat();
        let weights = RepositoryFile::of(bytes, true);
        Self::of(with(&[("model-0.safetensors", weights)]), pulled, looked)
    }

    /// Weights whose header is this text and as long as it says, and eight bytes of data.
    fn tensors(header: &str, pulled: &'static str, looked: &'static str) -> Self {
        let bytes = [header.as_bytes(), &[0; 8]].concat();
        Self::header(header.len() as u64, &bytes, pulled, looked)
    }

    fn redirected(to: &'static str, words: &'static str) -> Self {
        Self {
            redirect: Some(to),
            ..Self::of(with(&[]), words, words)
        }
    }

    fn claims(name: &str, words: &'static str) -> Self {
        let file = RepositoryFile {
            zeros: 1 << 30,
            ..RepositoryFile::of(b"{".to_vec(), false)
        };
        Self::of(with(&[(name, file)]), words, words)
    }
}

/// A model with one file of weights and these files besides, or instead.
fn with(files: &[(&str, RepositoryFile)]) -> Snapshot {
    let mut snapshot = tests::hub::model_of(6, &[1000]);
    for (name, file) in files {
        snapshot.files.insert((*name).to_owned(), file.clone());
    }
    snapshot
}

fn names() -> Vec<Case> {
    let plain = "characters other than letters, digits, dot, dash and underscore";
    let out = "leads out of the repository";
    let strange = "backslashes or control characters";
    let cases = [
        ("../../evil.safetensors", out),
        ("model/../../evil.safetensors", out),
        ("/etc/cron.d/evil", out),
        ("./model-1.safetensors", out),
        ("model//evil", out),
        ("..\\..\\evil.safetensors", strange),
        ("C:\\evil.safetensors", strange),
        ("model\u{0}.safetensors", strange),
        ("model\r\nx.safetensors", strange),
        ("model%2e%2e%2fevil.safetensors", plain),
        ("modelC:evil.safetensors", plain),
        ("model\u{202e}1.safetensors", plain),
        ("model-\u{e9}.safetensors", plain),
        ("model-e\u{301}.safetensors", plain),
        ("model 1.safetensors", plain),
    ];
    cases.map(|(name, words)| Case::name(name, words)).into()
}

fn contents() -> Vec<Case> {
    let tensor = |at: usize| format!(r#""{at:x}":{{"data_offsets":[0,0]}}"#);
    let many: Vec<String> = (0..600_000).map(tensor).collect();
    let many = format!("{{{}}}", many.join(","));
    let deep = format!(r#"{{"w":{}"#, "[".repeat(1 << 20));
    let two = r#"{"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}"#;
    let negative = r#"{"w":{"dtype":"U8","shape":[8],"data_offsets":[-8,0]}}"#;
    let gigantic = r#"{"w":{"dtype":"U8","shape":[8],"data_offsets":[0,18446744073709551615]}}"#;
    let weights = RepositoryFile::of(b"{}".to_vec(), true);
    let capitals = with(&[
        ("model-a.safetensors", weights.clone()),
        ("model-A.safetensors", weights),
    ]);
    let mut pickles = with(&[]);
    pickles.files.remove("model-0.safetensors");
    let words = "Python pickles, which can run code";
    vec![
        Case::header(
            100_000_000_000,
            b"{}",
            "claims 100000000000 bytes",
            "cut short",
        ),
        Case::header(
            u64::MAX,
            b"{}",
            "claims 18446744073709551615 bytes",
            "cut short",
        ),
        Case::tensors(&deep, "does not describe tensors", "recursion limit"),
        Case::tensors(&many, "more than 500000", "missing field `dtype`"),
        Case::tensors(two, "where 8 is the first", "model_damaged"),
        Case::tensors(negative, "does not describe tensors", "expected u64"),
        Case::tensors(gigantic, "and 8 are there", "outside of the file"),
        Case::of(pickles, words, words),
        Case::of(capitals, "by its capitals alone", "by its capitals alone"),
        Case::claims("config.json", "it has 1073741825 bytes, more than"),
        Case::claims("tokenizer.json", "it has 1073741825 bytes, more than"),
        Case::redirected("file:///etc/passwd", "may follow"),
        Case::redirected("ftp://127.0.0.1/x", "may follow"),
        Case::redirected("javascript:0", "may follow"),
        Case::redirected("?again", "redirects more than"),
    ]
}

/// Waits for a program to end; the most memory that it held, in kilobytes.
fn watched(child: &mut Child) -> Result<u64> {
    let begin = Instant::now();
    let mut peak = 0;
    while child.try_wait()?.is_none() {
        peak = Footprint::peak_kb(child.id()).unwrap_or(peak);
        ensure!(begin.elapsed() < LIMIT, "it does not end");
        sleep(Duration::from_millis(5));
    }
    Ok(peak)
}

/// Downloads what a hub has; what is said of it in the end. Nothing is left that is a model, or outside of the data folder.
fn refusal(hub: &TestHub) -> Result<String> {
    let outside = tempfile::tempdir()?;
    let data = outside.path().join("data");
    let mut pulling = pull(hub, REPOSITORY, &data)?
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let peak = watched(&mut pulling)?;
    let output = pulling.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        output.status.code() == Some(1),
        "{:?}: {said}",
        output.status
    );
    ensure!(peak < MEMORY_KB_MAX, "{peak} kB");
    ensure!(
        !data.join("models").join(REPOSITORY).exists(),
        "it is there"
    );
    let around = fs::read_dir(outside.path())?.count();
    ensure!(around <= 1, "something was written outside");
    Ok(said)
}

#[test]
fn hostile_repositories_are_refused_with_reasons() -> Result<()> {
    let hub = TestHub::start(model(6, 1000))?;
    let node = Node::start(&NodeOptions {
        hub: Some(hub.endpoint()),
        ..NodeOptions::default()
    })?;
    for (at, case) in names().into_iter().chain(contents()).enumerate() {
        hub.publish(case.snapshot);
        hub.contents().redirect = case.redirect.map(str::to_owned);
        let said = refusal(&hub).with_context(|| format!("case {at}: {}", case.pulled))?;
        println!("{at}: {}", said.trim());
        ensure!(
            said.contains(case.pulled) && said.contains("hint: "),
            "case {at}: {said}"
        );
        let begin = Instant::now();
        let (status, found) = node.api().get(&format!("/admin/hub/ada/case-{at}"))?;
        println!("{at}: {status} {found}");
        let said = found.to_string();
        ensure!(
            status >= 400 && said.contains(case.looked) && said.contains("\"hint\""),
            "case {at}: {status} {said}"
        );
        ensure!(begin.elapsed() < LIMIT, "case {at}: {:?}", begin.elapsed());
    }
    let peak = Footprint::peak_kb(node.process())?;
    ensure!(peak < MEMORY_KB_MAX, "the node held {peak} kB");
    Ok(())
}

#[test]
fn what_comes_beyond_what_was_claimed_is_not_read() -> Result<()> {
    let snapshot = with(&[]);
    let size: u64 = snapshot.files.values().map(RepositoryFile::size).sum();
    let hub = TestHub::start(snapshot.clone())?;
    hub.contents().faults = Faults::always(|_| Fault::Endless);
    let data = tempfile::tempdir()?;
    let mut pulling = pull(&hub, REPOSITORY, data.path())?
        .stdout(Stdio::null())
        .spawn()?;
    let peak = watched(&mut pulling)?;
    ensure!(
        pulling.wait()?.success() && peak < MEMORY_KB_MAX,
        "{peak} kB"
    );
    check_files(&snapshot, &data.path().join("models").join(REPOSITORY))?;
    let sent: u64 = hub.contents().sent.values().sum();
    // Buffers of the connections.
    ensure!(sent < size + (64 << 20), "{sent} bytes were sent");
    Ok(())
}

/// Sprout, but with a change.
fn spoilt(
    hub: &TestHub,
    name: &str,
    data: &Path,
    change: impl FnOnce(&mut Snapshot),
) -> Result<()> {
    let mut snapshot = of_folder(&sprout())?;
    change(&mut snapshot);
    // Or it would be the same model.
    let config = snapshot.files.get_mut("config.json").context("no config")?;
    let mut fields: Value = serde_json::from_slice(&config.bytes)?;
    fields["spoilt"] = name.into();
    config.bytes = fields.to_string().into_bytes();
    hub.publish(snapshot);
    let mut command: Command = pull(hub, name, data)?;
    let done = command.output()?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{name}: {said}");
    Ok(())
}

fn template(source: &'static str) -> impl FnOnce(&mut Snapshot) {
    move |snapshot| {
        let file = RepositoryFile::of(source.into(), false);
        snapshot
            .files
            .insert("chat_template.jinja".to_owned(), file);
    }
}

/// Takes time that doubles with each letter.
fn slow_pattern(snapshot: &mut Snapshot) {
    let Some(file) = snapshot.files.get_mut("tokenizer.json") else {
        return;
    };
    let mut tokenizer: Value = serde_json::from_slice(&file.bytes).unwrap_or_default();
    let slow = json!({"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": false});
    let before = tokenizer["pre_tokenizer"].take();
    tokenizer["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": [slow, before]});
    file.bytes = tokenizer.to_string().into_bytes();
}

#[test]
fn a_model_that_does_harm_when_it_answers_fails_alone() -> Result<()> {
    let hub = TestHub::start(model(6, 1000))?;
    let data = tempfile::tempdir()?;
    let endless = "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}";
    let growing = "{% set ns = namespace(t='x') %}{% for a in range(90) %}{% set ns.t = ns.t ~ ns.t %}{% endfor %}";
    spoilt(&hub, "ada/endless", data.path(), template(endless))?;
    spoilt(&hub, "ada/growing", data.path(), template(growing))?;
    spoilt(&hub, "ada/pattern", data.path(), slow_pattern)?;
    let node = Node::start(&NodeOptions {
        model: Some("sprout".into()),
        data: Some(data.path().to_owned()),
        ..NodeOptions::default()
    })?;
    let chat = |model: &str| {
        let text = format!("{}!", "a".repeat(60));
        let body = json!({"model": model, "max_tokens": 4, "messages": [{"role": "user", "content": text}]});
        let begin = Instant::now();
        let (status, answer) = node.api().post("/v1/chat/completions", &body)?;
        println!("{model}: {status} after {:?}: {answer}", begin.elapsed());
        ensure!(begin.elapsed() < LIMIT, "{model}: {:?}", begin.elapsed());
        anyhow::Ok((status, answer.to_string()))
    };
    let cases = [
        ("ada/endless", 400..500, "takes too many steps"),
        ("ada/growing", 400..500, "takes too many steps"),
        ("ada/pattern", 400..500, "a pattern takes too many steps"),
    ];
    for (model, statuses, words) in cases {
        let (harm, other) = thread::scope(|scope| {
            let harm = scope.spawn(|| chat(model));
            let other = chat("sprout");
            (harm.join().expect("the thread of a request"), other)
        });
        let (status, said) = harm?;
        ensure!(
            statuses.contains(&status) && said.contains(words),
            "{model}: {status} {said}"
        );
        ensure!(other?.0 == 200, "the other did not answer");
    }
    let peak = Footprint::peak_kb(node.process())?;
    println!("the node held {peak} kB at most");
    Ok(())
}
