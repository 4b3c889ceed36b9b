//! `Open WebUI`'s own server before a node: it lists the node's models, and passes a chat on, whole and streamed.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tests::api::Api;
use tests::nodes::{Node, NodeOptions};

/// It prepares its database and imports half of PyPI.
const READY_LIMIT: Duration = Duration::from_mins(5);
const POLL: Duration = Duration::from_millis(200);

/// Its server, killed when dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn run(program: &Path) -> Result<()> {
    let node = Node::start(&NodeOptions {
        model: Some("sprout".into()),
        ..NodeOptions::default()
    })?;
    let folder = tempfile::Builder::new().prefix("open-webui-").tempdir()?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let began = Instant::now();
    let mut server = start(program, folder.path(), port, node.port)?;
    let base = format!("http://127.0.0.1:{port}");
    let open = Api::at(base);
    while !matches!(open.get("/health"), Ok((200, _))) {
        if let Some(status) = server.0.try_wait()? {
            let log = fs::read_to_string(folder.path().join("log"))?;
            bail!("{status}: {log}");
        }
        ensure!(began.elapsed() < READY_LIMIT, "it did not become ready");
        std::thread::sleep(POLL);
    }
    println!("{:.1} s until it was ready", began.elapsed().as_secs_f64());
    // With its users switched off anybody is its administrator.
    let nobody = json!({"email": "admin@localhost", "password": "admin"});
    let (_, session) = open.post("/api/v1/auths/signin", &nobody)?;
    let key = session["token"]
        .as_str()
        .with_context(|| session.to_string())?;
    let signed_in = open.with_key(key)?;
    let (status, models) = signed_in.get("/api/models")?;
    ensure!(status == 200, "models: {status} {models}");
    let listed = models["data"].as_array().map_or(&[][..], Vec::as_slice);
    ensure!(
        listed.iter().any(|model| model["id"] == "sprout"),
        "{models}"
    );
    println!("it lists {} models", listed.len());
    let mut body = json!({"model": "sprout", "stream": false, "temperature": 0,
        "messages": [{"role": "user", "content": "What is Espalier?"}]});
    let (status, answer) = signed_in.post("/api/chat/completions", &body)?;
    let said = answer["choices"][0]["message"]["content"].as_str();
    let said = said.with_context(|| format!("chat: {status} {answer}"))?;
    ensure!(said.contains("Espalier"), "{said}");
    println!("{said}");
    body["stream"] = Value::Bool(true);
    let streamed = signed_in.stream("/api/chat/completions", &body, |_| {})?;
    ensure!(streamed.text == said, "{streamed:?}");
    println!(
        "Open WebUI lists models and chats, whole and in {} pieces",
        streamed.arrivals.len()
    );
    Ok(())
}

fn start(program: &Path, folder: &Path, port: u16, node_port: u16) -> Result<Server> {
    let log = fs::File::create(folder.join("log"))?;
    let mut command = Command::new(program);
    command.args(["serve", "--host", "127.0.0.1", "--port", &port.to_string()]);
    let address = format!("http://127.0.0.1:{node_port}/v1");
    for (name, value) in [
        ("DATA_DIR", folder.to_str().unwrap_or("/tmp")),
        ("HOME", folder.to_str().unwrap_or("/tmp")),
        ("OPENAI_API_BASE_URL", address.as_str()),
        ("OPENAI_API_KEY", "none"),
        ("WEBUI_SECRET_KEY", "espalier"),
        ("WEBUI_AUTH", "False"),
        ("ENABLE_OLLAMA_API", "False"),
        ("OFFLINE_MODE", "True"),
        ("USE_SLIM_DOCKER", "True"),
        // Else it loads a model of its own.
        ("RAG_EMBEDDING_ENGINE", "openai"),
        ("BYPASS_EMBEDDING_AND_RETRIEVAL", "True"),
    ] {
        command.env(name, value);
    }
    let child = command
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn();
    let child = child.with_context(|| {
        format!(
            "{} (hint: pip install open-webui, then --program)",
            program.display()
        )
    })?;
    Ok(Server(child))
}
