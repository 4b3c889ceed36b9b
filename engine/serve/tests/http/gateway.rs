//! A node that is not there: a fixed cluster and models that repeat what they are told.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::{
    DerivedModel, EchoedPrompt, EmbedInput, EmbedRequest, Embedded, ErrorCode, Failure,
    Fingerprint, FinishReason, GenerateEvent, GenerateRequest, InstanceActivity, InstanceId, Level,
    LinkKind, ModelId, ModelShape, NodeId, Piece, Pressure, Prompt, ScoredToken, Shard, ShardPlan,
    Sharding, TensorInfo, TensorSlice, Usage,
};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, stream};
use serve::disk::{self, DiskUsage, Leftover, Room};
use serve::downloads::{self, Download};
use serve::membership::{Ask, Membership};
use serve::settings::{Settings, SettingsChange};
use serve::user_data::UserData;
use serve::view::{
    ClusterView, InstanceState, InstanceView, LinkView, NodeState, NodeView, ShardView,
};
use serve::{
    Gateway, GenerateStream, HubModel, KnownModel, KnownRepository, ModelDescription, ModelInfo,
    ModelOnDisk, OpenInstance, RankedPlacement,
};
use tokio::sync::watch;

#[path = "gateway/user_data.rs"]
mod user_data;

use user_data::TestUserData;

/// Token ids are below this.
const VOCABULARY: u32 = 1000;

pub struct TestGateway {
    view: watch::Sender<Arc<ClusterView>>,
    requests: Mutex<Vec<GenerateRequest>>,
    wishes: Mutex<Vec<OpenInstance>>,
    /// By their names, in the order in which they came.
    derived: Mutex<Vec<(String, DerivedModel)>>,
    /// What the model `scripted` says.
    script: Mutex<Vec<Result<GenerateEvent, Failure>>>,
    /// Generations that nobody has dropped.
    pub running: Arc<AtomicUsize>,
    random: AtomicUsize,
    settings: Mutex<Settings>,
    /// What comes from a hub.
    pub downloads: watch::Sender<Arc<Vec<Download>>>,
    user_data: Arc<TestUserData>,
}

/// Counts a generation until it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl TestGateway {
    pub fn new(view: ClusterView) -> Self {
        Self {
            view: watch::Sender::new(Arc::new(view)),
            requests: Mutex::default(),
            wishes: Mutex::default(),
            derived: Mutex::default(),
            script: Mutex::default(),
            running: Arc::default(),
            random: AtomicUsize::new(1),
            settings: Mutex::new(Settings {
                name: "study".into(),
                join: true,
                peer_address: None,
                api: true,
                api_port: 3775,
                api_address: None,
                lend_memory_bytes_max: None,
                idle_minutes: 0,
                download_bytes_per_s_max: 0,
                api_network: false,
                api_network_addresses: Vec::new(),
                ollama_port: false,
                ollama_address: None,
                allowed_origins: vec!["https://chat.example".to_owned()],
                model_folders: Vec::new(),
                welcomed: true,
            }),
            downloads: watch::Sender::default(),
            user_data: Arc::default(),
        }
    }

    pub fn change(&self, change: impl FnOnce(&mut ClusterView)) {
        self.view.send_modify(|view| change(Arc::make_mut(view)));
    }

    /// Makes the model `scripted` say this.
    pub fn script(&self, events: Vec<Result<GenerateEvent, Failure>>) {
        *self.script.lock().unwrap() = events;
    }

    pub fn last_request(&self) -> GenerateRequest {
        self.requests.lock().unwrap().last().unwrap().clone()
    }

    pub fn last_wish(&self) -> OpenInstance {
        self.wishes.lock().unwrap().last().unwrap().clone()
    }

    pub async fn wait_for_running(&self, count: usize) {
        for _ in 0..1000 {
            if self.running.load(Ordering::SeqCst) == count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never {count} generations");
    }

    /// Says what a download is like from now on.
    pub fn show_download(&self, model: &str, state: downloads::State, bytes_done: u64) {
        self.downloads.send_modify(|list| {
            let list = Arc::make_mut(list);
            list.retain(|download| download.model != model);
            list.push(Download {
                model: model.to_owned(),
                revision: "main".to_owned(),
                commit: (bytes_done > 0).then(|| "c0ffee".to_owned()),
                state,
                bytes_done,
                bytes_total: if bytes_done > 0 { 4 << 30 } else { 0 },
                bytes_from_members: bytes_done / 2,
                bytes_per_s: (bytes_done > 0).then_some(90_000_000),
                seconds_left: (bytes_done > 0).then_some(35),
            });
        });
    }

    fn carry_out(&self, ask: downloads::Ask) -> Result<(), Failure> {
        use downloads::{Ask, State};
        match ask {
            Ask::Start(model) if model.contains(' ') => {
                let message = format!("{model:?} names no repository");
                return Err(Failure::new(ErrorCode::InvalidRequest, message));
            }
            Ask::Start(model) | Ask::Resume(model) => {
                self.show_download(&model, State::Waiting(None), 0);
            }
            Ask::Pause(model) => self.show_download(&model, State::Paused, 1 << 30),
            Ask::Cancel(model) => self.downloads.send_modify(|list| {
                Arc::make_mut(list).retain(|download| download.model != model);
            }),
        }
        Ok(())
    }

    fn start(&self, request: &GenerateRequest) -> Result<GenerateStream, Failure> {
        self.requests.lock().unwrap().push(request.clone());
        let model = request.model.clone();
        match model.as_str() {
            "short" if matches!(request.max_tokens, Some(101..=100_000)) => {
                let message = "the prompt has 9 tokens and more are asked for than fit";
                return Err(Failure::new(ErrorCode::ContextTooLong, message));
            }
            // Has room for three turns.
            "narrow" if matches!(&request.prompt, Prompt::Chat(talk) if talk.messages.len() > 3) => {
                let message = "the prompt has 99 tokens, and there is room for 9";
                return Err(Failure::new(ErrorCode::ContextTooLong, message));
            }
            "narrow" | "sprout" | "acme/big-model" | "broken" | "endless" | "scripted"
            | "short" => {}
            "busy" => return Err(Failure::new(ErrorCode::Overloaded, "the queue is full")),
            _ => {
                let message = format!("there is no model {model}");
                return Err(Failure::new(ErrorCode::ModelNotFound, message).hint("try sprout"));
            }
        }
        if let Prompt::Tokens(tokens) = &request.prompt
            && tokens.iter().any(|token| *token >= VOCABULARY)
        {
            let failure = Failure::new(ErrorCode::InvalidRequest, "there is no such token");
            return Err(failure.param("prompt"));
        }
        let mut events: Vec<Result<GenerateEvent, Failure>> =
            told(request).into_iter().map(Ok).collect();
        if model == "scripted" {
            events.clone_from(&self.script.lock().unwrap());
        }
        if model == "broken" {
            events.truncate(2);
            events.push(Err(Failure::new(ErrorCode::WorkerLost, "a node is gone")));
        }
        self.running.fetch_add(1, Ordering::SeqCst);
        let counted = Counted(self.running.clone());
        let events = if model == "endless" {
            stream::iter(events)
                .take(2)
                .chain(stream::pending())
                .boxed()
        } else {
            stream::iter(events).boxed()
        };
        let events = events.map(move |event| {
            let _running = &counted;
            event
        });
        Ok(events.boxed())
    }
}

/// The prompt's words, and the answer that quotes them.
fn told(request: &GenerateRequest) -> Vec<GenerateEvent> {
    let prompt = match &request.prompt {
        Prompt::Chat(conversation) | Prompt::Templated { conversation, .. } => conversation
            .messages
            .last()
            .map_or(String::new(), |last| last.content.clone()),
        Prompt::Text(text) => text.clone(),
        Prompt::Infill { prefix, suffix } => format!("{prefix}_{suffix}"),
        Prompt::Tokens(tokens) => tokens
            .iter()
            .fold(String::new(), |text, token| format!("{text}t{token} ")),
    };
    let words: Vec<&str> = prompt.split_inclusive(' ').collect();
    let usage = |completion_tokens| Usage {
        prompt_tokens: words.len() as u32,
        completion_tokens,
        ..Usage::default()
    };
    let mut events = vec![GenerateEvent::Started {
        model: request.model.clone(),
        prompt_tokens: words.len() as u32,
    }];
    if request.echo {
        events.push(GenerateEvent::Prompt(EchoedPrompt {
            text: prompt.clone(),
            tokens: words
                .iter()
                .enumerate()
                .flat_map(|(index, word)| scored(request, word, index > 0))
                .collect(),
        }));
    }
    if request.max_tokens == Some(0) {
        let reason = FinishReason::Length;
        events.push(GenerateEvent::Finished {
            reason,
            stop: None,
            usage: usage(0),
        });
        return events;
    }
    for piece in ["You ", "said: ", &prompt] {
        events.push(GenerateEvent::Delta {
            piece: Piece::Text(piece.to_string()),
            tokens: scored(request, piece, true),
        });
    }
    let reason = FinishReason::Stop;
    events.push(GenerateEvent::Finished {
        reason,
        stop: None,
        usage: usage(3),
    });
    events
}

fn scored(request: &GenerateRequest, text: &str, probable: bool) -> Vec<ScoredToken> {
    let Some(top) = request.logprobs else {
        return Vec::new();
    };
    let alternative = |number| {
        (
            number,
            format!("{text}{number}").into_bytes(),
            -1.0 - number as f32,
        )
    };
    vec![ScoredToken {
        token: 1,
        bytes: text.as_bytes().to_vec(),
        logprob: probable.then_some(-0.5),
        top: (0..top).map(alternative).collect(),
    }]
}

impl Gateway for TestGateway {
    fn settings(&self) -> BoxFuture<'_, Settings> {
        async { self.settings.lock().unwrap().clone() }.boxed()
    }

    fn allowed_origins(&self) -> Vec<String> {
        self.settings.lock().unwrap().allowed_origins.clone()
    }

    fn reset_settings(&self) -> BoxFuture<'_, Result<(), Failure>> {
        self.settings.lock().unwrap().name = "as at first".into();
        async { Ok(()) }.boxed()
    }

    fn user_data(&self) -> Arc<dyn UserData> {
        self.user_data.clone()
    }

    fn membership(&self) -> BoxStream<'static, Membership> {
        stream::iter([Membership {
            by_key: false,
            members: Vec::new(),
            nearby: Vec::new(),
            pairing: None,
            notice: None,
        }])
        .chain(stream::pending())
        .boxed()
    }

    fn pairing(&self, _ask: Ask) -> BoxFuture<'_, Result<(), Failure>> {
        let failure = Failure::new(ErrorCode::NotFound, "that computer is not seen now");
        std::future::ready(Err(failure)).boxed()
    }

    fn downloads(&self) -> watch::Receiver<Arc<Vec<Download>>> {
        self.downloads.subscribe()
    }

    fn download(&self, ask: downloads::Ask) -> BoxFuture<'_, Result<(), Failure>> {
        std::future::ready(self.carry_out(ask)).boxed()
    }

    /// The other members have all that is acme's already.
    fn download_everywhere(&self, model: String) -> BoxFuture<'_, Result<(), Failure>> {
        let refused = Failure::new(ErrorCode::WorkerLost, "not fetched everywhere: attic: no");
        let here = self.carry_out(downloads::Ask::Start(model.clone()));
        let there = if model.starts_with("acme/") {
            Ok(())
        } else {
            Err(refused)
        };
        std::future::ready(here.and(there)).boxed()
    }

    fn disk(&self) -> BoxFuture<'_, Result<DiskUsage, Failure>> {
        let usage = DiskUsage {
            folders: vec![disk::Folder {
                path: "/models".into(),
                kind: disk::FolderKind::HuggingFaceCache,
                available: true,
                free_bytes: Some(1 << 40),
            }],
            models: vec![held("acme/old", 10)],
            downloads: vec![disk::Begun {
                model: "acme/new".to_owned(),
                folder: "/models".into(),
                bytes: 5,
            }],
            leftovers: vec![leftover()],
        };
        async { Ok(usage) }.boxed()
    }

    fn room(&self, bytes: u64, folder: Option<PathBuf>) -> BoxFuture<'_, Result<Room, Failure>> {
        let models = vec![held("acme/old", bytes)];
        let room = Room {
            models: if folder.is_none() { models } else { Vec::new() },
            bytes,
            is_enough: folder.is_none(),
        };
        async { Ok(room) }.boxed()
    }

    fn clean(&self, paths: BTreeSet<PathBuf>) -> BoxFuture<'_, Result<Vec<Leftover>, Failure>> {
        let mut left = vec![leftover()];
        left.retain(|left| paths.contains(&left.path));
        async { Ok(left) }.boxed()
    }

    fn change_settings(&self, change: SettingsChange) -> BoxFuture<'_, Result<(), Failure>> {
        let mut settings = self.settings.lock().unwrap();
        let refused = change.api_port == Some(1);
        if let Some(name) = change.name.filter(|_| !refused) {
            settings.name = name;
        }
        let taken = Failure::new(ErrorCode::Internal, "the port is taken");
        let changed = if refused {
            Err(taken.hint("choose another"))
        } else {
            Ok(())
        };
        std::future::ready(changed).boxed()
    }

    fn models(&self) -> BoxFuture<'_, Vec<ModelInfo>> {
        let mut models = vec![model("sprout"), model("acme/big-model")];
        let derived = self.derived.lock().unwrap();
        models.extend(derived.iter().map(|(name, derived)| ModelInfo {
            id: name.clone(),
            base: Some(derived.base.clone()),
            ..model("sprout")
        }));
        async { models }.boxed()
    }

    fn describe(&self, name: &str) -> BoxFuture<'_, Result<ModelDescription, Failure>> {
        let derived = self.derived.lock().unwrap();
        let derived = derived.iter().find(|(known, _)| known == name);
        let derived = derived.map(|(_, derived)| derived.clone());
        let found = match name {
            "sprout" | "acme/big-model" => Some(model(name)),
            _ => derived.as_ref().map(|derived| ModelInfo {
                id: name.to_string(),
                base: Some(derived.base.clone()),
                ..model("sprout")
            }),
        };
        let described = found.map(|info| ModelDescription {
            derived,
            template: "{{ messages }}".to_string(),
            thinks: false,
            infills: false,
            embeds: false,
            licence_text: String::new(),
            tensors: vec![TensorInfo {
                name: "w".to_string(),
                element: "F32".to_string(),
                shape: vec![2, 3],
            }],
            info,
        });
        let message = format!("there is no model {name}");
        let unknown = Failure::new(ErrorCode::ModelNotFound, message).hint("try sprout");
        std::future::ready(described.ok_or(unknown)).boxed()
    }

    fn derive(&self, name: &str, model: DerivedModel) -> BoxFuture<'_, Result<(), Failure>> {
        let mut derived = self.derived.lock().unwrap();
        derived.retain(|(known, _)| known != name);
        derived.push((name.to_string(), model));
        async { Ok(()) }.boxed()
    }

    fn delete(&self, name: &str) -> BoxFuture<'_, Result<(), Failure>> {
        let mut derived = self.derived.lock().unwrap();
        let before = derived.len();
        derived.retain(|(known, _)| known != name);
        let deleted = if derived.len() < before {
            Ok(())
        } else {
            let message = format!("there is no model {name}");
            Err(Failure::new(ErrorCode::ModelNotFound, message))
        };
        std::future::ready(deleted).boxed()
    }

    fn generate(&self, request: GenerateRequest) -> BoxFuture<'_, Result<GenerateStream, Failure>> {
        async move { self.start(&request) }.boxed()
    }

    /// Three numbers for each input, which say how long it is.
    fn embed(&self, request: EmbedRequest) -> BoxFuture<'_, Result<Embedded, Failure>> {
        let vector = |input: &EmbedInput| match input {
            EmbedInput::Text(text) => vec![text.len() as f32, 0.25, -0.5],
            EmbedInput::Tokens(tokens) => vec![tokens.len() as f32, 0.25, -0.5],
        };
        let embedded = Embedded {
            model: request.model,
            vectors: request.inputs.iter().map(vector).collect(),
            prompt_tokens: 3 * request.inputs.len() as u32,
            loading: Duration::from_millis(2),
        };
        async { Ok(embedded) }.boxed()
    }

    fn changes(&self) -> watch::Receiver<Arc<ClusterView>> {
        self.view.subscribe()
    }

    fn open(&self, wish: OpenInstance) -> BoxFuture<'_, Result<InstanceId, Failure>> {
        self.wishes.lock().unwrap().push(wish);
        async { Ok(InstanceId(0xaa)) }.boxed()
    }

    fn close(&self, id: InstanceId) -> BoxFuture<'_, Result<(), Failure>> {
        self.change(|view| view.instances.retain(|instance| instance.id != id));
        async { Ok(()) }.boxed()
    }

    fn plan(&self, _wish: OpenInstance) -> BoxFuture<'_, Result<Vec<RankedPlacement>, Failure>> {
        let shard = |index| Shard {
            node: node_id(index as u8),
            layers: 0..30,
            tensor: TensorSlice { index, of: 2 },
            bytes: 1 << 30,
        };
        let placement = RankedPlacement {
            plan: ShardPlan {
                sharding: Sharding::Tensor,
                shards: vec![shard(0), shard(1)],
            },
            tokens_per_s: 41.5,
        };
        async { Ok(vec![placement]) }.boxed()
    }

    fn known_models(&self) -> Vec<KnownModel> {
        let repository = KnownRepository {
            id: "owner/model".to_string(),
            format: "4 bits".to_string(),
            bytes: 2 << 30,
            active_bytes: 1 << 30,
        };
        vec![KnownModel {
            name: "Model".to_string(),
            alias: "model".to_string(),
            family: "llama".to_string(),
            layers: 30,
            context_tokens: 4096,
            repositories: vec![repository],
        }]
    }

    fn look(&self, repository: &str) -> BoxFuture<'_, Result<HubModel, Failure>> {
        let found = HubModel {
            commit: "c".repeat(40),
            bytes: 3 << 30,
            family: "llama".to_string(),
            layers: 30,
            context_tokens: 4096,
            weights_bytes: 2 << 30,
            active_bytes: 1 << 30,
            placements: Err(Failure::new(ErrorCode::NotEnoughMemory, "it is too large")),
        };
        let is_there = repository == "owner/model@v1";
        let unknown = Failure::new(ErrorCode::NotFound, "the hub has no such model");
        async move { is_there.then_some(found).ok_or(unknown) }.boxed()
    }

    fn random(&self) -> Result<u64, Failure> {
        Ok(self.random.fetch_add(1, Ordering::SeqCst) as u64)
    }

    fn unix_milliseconds(&self) -> u64 {
        1_700_000_000
    }
}

fn held(model: &str, bytes: u64) -> disk::Held {
    disk::Held {
        model: model.to_owned(),
        path: format!("/models/{model}").into(),
        folder: "/models".into(),
        bytes,
        last_used_unix_seconds: Some(7),
        is_open: false,
        may_delete: true,
    }
}

fn leftover() -> Leftover {
    Leftover {
        path: "/models/.deleted-x".into(),
        bytes: 3,
        what: "a deletion that was cut short".to_owned(),
        stays: None,
    }
}

fn model(id: &str) -> ModelInfo {
    ModelInfo {
        id: id.to_string(),
        created_unix_seconds: 1_700_000_000,
        fingerprint: Some(Fingerprint([0xab; 32])),
        base: None,
        on_disk: (id == "sprout").then(|| ModelOnDisk {
            weights_bytes: 12 << 20,
            family: "llama".to_string(),
            weights_format: "float32".to_string(),
            licence: String::new(),
            folder: "/models/sprout".into(),
            is_own: false,
            is_part: false,
            shape: ModelShape {
                parameters: Some(3_100_000),
                context_tokens: Some(1024),
                ..ModelShape::default()
            },
        }),
    }
}

fn node_id(number: u8) -> NodeId {
    NodeId([number.wrapping_mul(37).wrapping_add(11); 32])
}

/// Three unequal nodes, one locked out, and two models over them.
pub fn cluster() -> ClusterView {
    let node = |number, name: &str, chip: &str, gib: u64, free: u64| NodeView {
        id: node_id(number),
        name: name.to_string(),
        chip: chip.to_string(),
        state: NodeState::Online,
        memory_total_bytes: gib << 30,
        memory_available_bytes: free << 30,
        pressure: Pressure {
            thermal: Some(Level::Normal),
            memory: (number == 1).then_some(Level::Elevated),
        },
    };
    let shard = |rank, layers, gib: u64| ShardView {
        node: node_id(rank as u8),
        rank,
        layers,
        tensor: TensorSlice::WHOLE,
        bytes: gib << 30,
        fetching_bytes: None,
    };
    let slice = |index| ShardView {
        node: node_id(index as u8),
        rank: index,
        layers: 0..16,
        tensor: TensorSlice { index, of: 2 },
        bytes: 3 << 28,
        fetching_bytes: None,
    };
    let locked = NodeView {
        state: NodeState::Locked("it does not have this cluster's key".to_string()),
        memory_total_bytes: 0,
        memory_available_bytes: 0,
        ..node(3, "Guest laptop", "", 0, 0)
    };
    let instance = |id, model: &str, sharding, shards| InstanceView {
        id: InstanceId(id),
        model: ModelId(model.to_string()),
        fingerprint: Fingerprint([id as u8; 32]),
        context_tokens: 1024,
        expires_unix_ms: (id == 0xff).then_some(1_700_000_300_000),
        owner: node_id(0),
        generation: 1,
        sharding: Some(sharding),
        state: InstanceState::Ready,
        failure: None,
        loading_bytes: (0, 0),
        activity: (id == 0xfe).then_some(InstanceActivity {
            instance: InstanceId(id),
            reading: 1,
            answering: 2,
            waiting: 0,
            tokens_per_1000_s: 31_400,
            idle_since_ms: None,
            expires_ms: None,
        }),
        on_demand: false,
        quantize: None,
        kv_bits: None,
        draft: None,
        shards,
    };
    let link = |a, b, us| LinkView {
        a: node_id(a),
        b: node_id(b),
        round_trip_us: Some(us),
        bandwidth_bytes_per_s: Some(if us < 500 { 3_400_000_000 } else { 118_000_000 }),
        kind: Some(if us < 500 {
            LinkKind::Thunderbolt
        } else {
            LinkKind::Ethernet
        }),
    };
    let pipeline = vec![
        shard(0, 20..30, 40),
        shard(1, 7..20, 52),
        shard(2, 0..7, 28),
    ];
    ClusterView {
        node_id: node_id(0),
        nodes: vec![
            node(0, "oak", "Apple M3 Ultra", 96, 38),
            node(1, "elm", "Apple M4 Max", 128, 60),
            node(2, "birch", "Apple M2 Max", 64, 20),
            locked,
        ],
        links: vec![link(0, 1, 280), link(0, 2, 1450), link(1, 2, 900)],
        instances: vec![
            instance(0xfe, "acme/big-model", Sharding::Pipeline, pipeline),
            instance(0xff, "sprout", Sharding::Tensor, vec![slice(0), slice(1)]),
        ],
    }
}
