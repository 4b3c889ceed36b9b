// The admin API's types. Made from engine/serve/src/admin/model.rs by its tests: do not edit;
// UPDATE_EXPECT=1 cargo nextest run -p serve the_dashboard_knows_the_same_types

export type State = { 
/**
 * The node that answers.
 */
node_id: string, 
/**
 * That node first.
 */
nodes: Array<Node>, links: Array<Link>, instances: Array<Instance>, };

export type Node = { id: string, name: string, 
/**
 * Hardware in words; empty if not known.
 */
chip: string, state: NodeState, 
/**
 * Why it is locked.
 */
reason: string | null, memory_total_bytes: number, 
/**
 * What it lends to models beyond those it holds.
 */
memory_available_bytes: number, 
/**
 * Whether heat slows it down; null if it does not say.
 */
thermal: Level | null, 
/**
 * Whether programs on it wait for memory; null if it does not say.
 */
memory_pressure: Level | null, };

export type NodeState = "online" | "locked" | "lost";

export type Level = "normal" | "elevated" | "critical";

export type Link = { a: string, b: string, 
/**
 * Measured round trip, microseconds.
 */
round_trip_us: number | null, 
/**
 * Measured; of two directions the slower one.
 */
bandwidth_bytes_per_s: number | null, 
/**
 * Null if the nodes do not know.
 */
kind: LinkKind | null, };

export type LinkKind = "loopback" | "ethernet" | "wifi" | "thunderbolt" | "other";

export type Instance = { id: string, 
/**
 * The name to use in requests.
 */
model: string, 
/**
 * Null before the first placement.
 */
sharding: Sharding | null, state: InstanceState, 
/**
 * Why it failed, or what it waits for.
 */
error: ErrorOut | null, 
/**
 * While nodes fetch files that they lack, one for each of them.
 */
fetching: Array<Fetching>, 
/**
 * While weights are read.
 */
loading: Loading | null, 
/**
 * The node that decides about it.
 */
owner: string, 
/**
 * How often it was placed.
 */
generation: number, 
/**
 * By rank.
 */
shards: Array<Shard>, 
/**
 * Null while nobody asks it anything.
 */
activity: Activity | null, 
/**
 * A request asked for it; otherwise a user opened it.
 */
on_demand: boolean, 
/**
 * When it is unloaded if nobody asks it anything, milliseconds since 1970; null while somebody does, and if it stays.
 */
expires_unix_ms: number | null, 
/**
 * To how many bits its matrices were quantized as they were loaded; null if they are as the files have them.
 */
quantize: number | null, 
/**
 * To how many bits the caches of its layers that see all are quantized; null if they are in the model's own type.
 */
kv_bits: number | null, 
/**
 * The model that drafts for it; null if none does.
 */
draft: string | null, };

export type InstanceState = "placing" | "downloading" | "loading" | "ready" | "mending" | "failed";

export type Sharding = "pipeline" | "tensor";

export type Fetching = { node_id: string, bytes_done: number, bytes_total: number, };

export type Loading = { bytes_done: number, bytes_total: number, };

export type Shard = { node_id: string, 
/**
 * Rank 0 drives and holds a pipeline's last layers.
 */
rank: number, 
/**
 * First, and the one after the last.
 */
layers: [number, number], 
/**
 * Which slice, of how many.
 */
tensor: [number, number], bytes: number, };

export type Activity = { 
/**
 * Requests whose prompt is being read.
 */
reading: number, 
/**
 * Requests being answered.
 */
answering: number, 
/**
 * Requests that wait for a place.
 */
waiting: number, 
/**
 * Generated over the last second or so, for all requests together.
 */
tokens_per_s: number, };

export type Settings = { name: string, 
/**
 * Whether it takes part in the network.
 */
join: boolean, 
/**
 * `IP:PORT` for peers, while it does.
 */
peer_address: string | null, 
/**
 * Whether the HTTP API has a port.
 */
api: boolean, 
/**
 * 0 is any free one.
 */
api_port: number, 
/**
 * `IP:PORT` of the API, while it listens.
 */
api_address: string | null, 
/**
 * Whether programs on other computers may use the API, each with a key.
 */
api_network: boolean, 
/**
 * `IP:PORT` under which they reach it, while they can.
 */
api_network_addresses: Array<string>, 
/**
 * Whether the API is also at Ollama's port, where programs made for Ollama look.
 */
ollama_port: boolean, 
/**
 * `IP:PORT` there, while it listens: the port may be taken.
 */
ollama_address: string | null, 
/**
 * What it lends to models at most; null is whatever is free.
 */
lend_memory_bytes_max: number | null, 
/**
 * Minutes without a request after which a model is unloaded; 0 is never.
 */
idle_minutes: number, 
/**
 * Downloads of models take so many bytes in a second at most, all together; 0 is no limit.
 */
download_bytes_per_s_max: number, 
/**
 * Origins (`https://chat.example`) of pages whose scripts may call the API's dialects from a browser.
 */
allowed_origins: Array<string>, 
/**
 * Where models are looked for besides the node's own folder. Downloads go to the first that takes them and has room.
 */
model_folders: Array<ModelFolder>, 
/**
 * Whether its user has been told what this is.
 */
welcomed: boolean, };

export type ModelFolder = { path: string, 
/**
 * Whether downloads may go there and models there may be deleted; nothing is changed there otherwise.
 */
writable: boolean, 
/**
 * Whether it is there now: its disk may not be connected.
 */
available: boolean, 
/**
 * Null if that is not known.
 */
free_bytes: number | null, };

export type FolderWish = string | { path: string, writable: boolean, };

export type Conversations = { conversations: Array<ConversationSummary>, };

export type ConversationSummary = { id: string, title: string, 
/**
 * Milliseconds since 1970.
 */
changed_ms: number, };

export type KeptConversation = { title: string, 
/**
 * Milliseconds since 1970.
 */
changed_ms: number, 
/**
 * Any JSON; the page that wrote it knows what it means.
 */
content: unknown, };

export type ApiKeys = { keys: Array<ApiKey>, };

export type ApiKey = { id: string, name: string, 
/**
 * Milliseconds since 1970.
 */
created_ms: number, scope: Scope, };

export type Scope = "use" | "manage";

export type NewApiKey = { id: string, name: string, 
/**
 * Milliseconds since 1970.
 */
created_ms: number, scope: Scope, 
/**
 * Not to be had again.
 */
key: string, };

export type HubToken = { is_set: boolean, };

export type NewHubToken = { token: string, };

export type Logs = { 
/**
 * The file; null if this node writes none.
 */
path: string | null, 
/**
 * The newest last.
 */
lines: Array<string>, };

export type Calls = { calls: Array<Call>, };

export type Call = { id: number, 
/**
 * Milliseconds since 1970.
 */
started_ms: number, method: string, path: string, 
/**
 * What the client calls itself; may be empty.
 */
client: string, 
/**
 * Its address; null for this computer.
 */
from: string | null, model: string | null, 
/**
 * Its place in the model's queue, from 1; null while it does not wait there.
 */
position: number | null, 
/**
 * Null until the answer begins.
 */
status: number | null, 
/**
 * Null until the answer has ended.
 */
duration_ms: number | null, prompt_tokens: number | null, completion_tokens: number | null, error: string | null, };

export type Membership = { 
/**
 * Nodes prove themselves with a shared key: there is nothing to pair.
 */
by_key: boolean, 
/**
 * This node among them; empty if it is in no cluster.
 */
members: Array<Member>, nearby: Array<Nearby>, 
/**
 * Under way, or how the last one ended.
 */
pairing: Pairing | null, 
/**
 * What happened to this node's membership that was not done here.
 */
notice: string | null, };

export type Member = { id: string, name: string, added_by: string, };

export type Nearby = { id: string, name: string, cluster_name: string, belongs: Belonging, };

export type Belonging = "unknown" | "newcomer" | "ours" | "elsewhere";

export type Pairing = { node_id: string, name: string, started_here: boolean, stage: Stage, 
/**
 * While they are compared.
 */
digits: string | null, confirmed_here: boolean, confirmed_there: boolean, 
/**
 * Why it ended.
 */
error: ErrorOut | null, };

export type Stage = "calling" | "compare" | "done" | "ended";

export type Downloads = { downloads: Array<Download>, };

export type Download = { 
/**
 * Its repository, `owner/name`: also the name of the model once it is here.
 */
model: string, 
/**
 * The branch, tag or commit that was asked for.
 */
revision: string, 
/**
 * The commit that is fetched, once it is known.
 */
commit: string | null, state: DownloadState, 
/**
 * Why it waits, or what went wrong and is tried again.
 */
reason: string | null, 
/**
 * Why it gave up.
 */
error: ErrorOut | null, 
/**
 * Bytes that are on the disk.
 */
bytes_done: number, 
/**
 * Bytes of all its files; 0 until that is known.
 */
bytes_total: number, 
/**
 * Bytes that other members of the cluster sent, and no hub, since it last began or went on.
 */
bytes_from_members: number, 
/**
 * How fast bytes come, while they do.
 */
bytes_per_s: number | null, 
/**
 * How long the rest takes at that speed.
 */
seconds_left: number | null, };

export type DownloadState = "waiting" | "running" | "retrying" | "verifying" | "paused" | "done" | "failed";

export type DownloadWish = { 
/**
 * The repository on the hub: `owner/name`, or `owner/name@revision`.
 */
model: string, 
/**
 * A branch, a tag or a commit of it; `main` if it is left out.
 */
revision?: string, 
/**
 * All members of the cluster that can be reached fetch it too. Together they take it from the hub once, and each other's
 * bytes as they arrive. One that refuses makes this an error; the others fetch it nevertheless.
 */
everywhere: boolean, };

export type DiskUsage = { 
/**
 * In the order in which they count: of a model in several of them that of the first.
 */
folders: Array<Folder>, 
/**
 * Models that can be used.
 */
models: Array<Held>, 
/**
 * Downloads that are not whole and go on.
 */
downloads: Array<Begun>, 
/**
 * What nobody needs any more.
 */
leftovers: Array<Leftover>, };

export type Folder = { path: string, kind: FolderKind, 
/**
 * Whether it is there now: its disk may not be connected.
 */
available: boolean, 
/**
 * Null if that is not known.
 */
free_bytes: number | null, };

export type FolderKind = "own" | "writable" | "read_only" | "hugging_face_cache";

export type Held = { 
/**
 * The name to use in requests.
 */
model: string, 
/**
 * Its files are there.
 */
path: string, 
/**
 * The folder of models in which they lie.
 */
folder: string, bytes: number, 
/**
 * When it was last open, milliseconds since 1970; null if it was not since this is noted.
 */
last_used_unix_ms: number | null, is_open: boolean, 
/**
 * Whether it may be deleted: also not while it is open.
 */
may_delete: boolean, };

export type Begun = { 
/**
 * `owner/name`.
 */
model: string, 
/**
 * The folder of models to which it goes.
 */
folder: string, bytes: number, };

export type Leftover = { path: string, bytes: number, 
/**
 * What it is, in words.
 */
what: string, 
/**
 * Why cleaning up leaves it, in words; null if it removes it.
 */
stays: string | null, };

export type Room = { 
/**
 * Those first that were not used for the longest time.
 */
models: Array<Held>, bytes: number, 
/**
 * Whether that is as much as was needed; otherwise there are no others.
 */
is_enough: boolean, };

export type CleanWish = { 
/**
 * Of leftovers, as `GET /admin/disk` tells them; others are not touched.
 */
paths: Array<string>, };

export type Cleaned = { leftovers: Array<Leftover>, };

export type KnownModels = { models: Array<KnownModel>, };

export type KnownModel = { 
/**
 * As people call it.
 */
name: string, 
/**
 * A short name to download its first repository by.
 */
alias: string, 
/**
 * Its architecture's name.
 */
family: string, 
/**
 * Transformer layers.
 */
layers: number, 
/**
 * The longest sequence that it takes, in tokens.
 */
context_tokens: number, 
/**
 * The usual choice first.
 */
repositories: Array<KnownRepository>, };

export type KnownRepository = { 
/**
 * `owner/name` on the hub.
 */
id: string, 
/**
 * How its weights are stored, in words.
 */
format: string, 
/**
 * Size of its weights.
 */
bytes: number, 
/**
 * Those of them that are read for one token, nearly.
 */
active_bytes: number, };

export type HubModel = { 
/**
 * The commit that a download would fetch.
 */
commit: string, 
/**
 * Size of all its files.
 */
bytes: number, 
/**
 * Its architecture's name.
 */
family: string, 
/**
 * Transformer layers.
 */
layers: number, 
/**
 * The longest sequence that it takes, in tokens.
 */
context_tokens: number, 
/**
 * Size of its weights as they are held.
 */
weights_bytes: number, 
/**
 * Bytes of weights that are read for one token: of experts only a few.
 */
active_bytes: number, 
/**
 * The ways in which the cluster could run it now, best first.
 */
placements: Array<Placement>, 
/**
 * Why it could not, if there is none.
 */
refusal: ErrorOut | null, };

export type ErrorOut = { code: string, message: string, hint: string | null, };

export type Models = { models: Array<Model>, };

export type Model = { 
/**
 * The name to use in requests.
 */
id: string, weights_bytes: number, 
/**
 * Its architecture's name; empty if its files do not say.
 */
family: string, 
/**
 * How its weights are stored, in words; empty if its files do not say.
 */
weights_format: string, 
/**
 * Its licence's name; null if its files do not say.
 */
licence: string | null, 
/**
 * Where its files are.
 */
folder: string, 
/**
 * Whether the node may delete them: they lie in its own folder, or in one that takes downloads.
 */
is_own: boolean, 
/**
 * Whether only a part is here: what this node's layers needed. The rest comes when it is needed.
 */
is_part: boolean, };

export type Placements = { placements: Array<Placement>, };

export type Placement = { sharding: Sharding, 
/**
 * Predicted, for a single request.
 */
tokens_per_s: number, shards: Array<Shard>, };

export type Wish = { model: string, sharding?: ShardingWish, node_count?: number, node_ids?: Array<string>, 
/**
 * How many instances to open, each on other nodes as far as there are; 1 if it is left out.
 */
replicas?: number, 
/**
 * To how many bits to quantize matrices that are not quantized yet, as they are loaded: 2, 3, 4, 5, 6 or 8; none if it is
 * left out.
 */
quantize?: number, 
/**
 * To how many bits to quantize keys and values of layers that see all, as they are cached: 4 or 8; none if it is left out.
 */
kv_bits?: number, 
/**
 * A small model with the same tokenizer, whole beside the first rank, that says what comes next: where it is right the
 * answer comes faster, and it is the same answer.
 */
draft?: string, };

export type ShardingWish = "auto" | "pipeline" | "tensor";

export type Opened = { 
/**
 * The first of them.
 */
id: string, 
/**
 * One for each replica.
 */
ids: Array<string>, };
