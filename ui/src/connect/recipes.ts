// How to point other programs at this node. Pure: the address and a model's name are arguments. Only what works today:
// the node speaks OpenAI's chat and plain completions, Anthropic's messages, and Ollama's API.

export type Recipe = {
  id: string;
  name: string;
  /** Where this goes. */
  where: string;
  language: string;
  code: string;
  /** What to know before trying. */
  note: string | null;
};

/** `base` is the node's address without a path; `model` is a name to use in requests. */
export function recipesFor(base: string, model: string): Recipe[] {
  const api = `${base}/v1`;
  return [
    {
      id: "curl",
      name: "curl",
      where: "In a terminal.",
      language: "sh",
      code: `curl ${api}/chat/completions -H 'Content-Type: application/json' \\\n  -d '${shell(JSON.stringify({ model, messages: [{ role: "user", content: "What is Espalier?" }] }))}'`,
      note: null,
    },
    {
      id: "python",
      name: "OpenAI SDK for Python",
      where: "pip install openai",
      language: "python",
      code: `from openai import OpenAI\n\nclient = OpenAI(base_url="${api}", api_key="none")\nanswer = client.chat.completions.create(\n    model=${quoted(model)},\n    messages=[{"role": "user", "content": "What is a shard?"}],\n)\nprint(answer.choices[0].message.content)`,
      note: "The SDK wants some key; the node asks for none.",
    },
    {
      id: "javascript",
      name: "OpenAI SDK for JavaScript",
      where: "npm install openai",
      language: "javascript",
      code: `import OpenAI from "openai";\n\nconst client = new OpenAI({ baseURL: "${api}", apiKey: "none" });\nconst answer = await client.chat.completions.create({\n  model: ${quoted(model)},\n  messages: [{ role: "user", content: "What is a shard?" }],\n});\nconsole.log(answer.choices[0].message.content);`,
      note: "In Node.js. A page of another site cannot call this node: it refuses requests from foreign pages.",
    },
    {
      id: "anthropic",
      name: "Anthropic SDK for Python",
      where: "pip install anthropic",
      language: "python",
      code: `from anthropic import Anthropic\n\nclient = Anthropic(base_url="${base}", api_key="none")\nanswer = client.messages.create(\n    model=${quoted(model)},\n    max_tokens=500,\n    messages=[{"role": "user", "content": "What is a shard?"}],\n)\nprint(answer.content[-1].text)`,
      note: "The address has no /v1 here: the SDK adds it.",
    },
    {
      id: "claude-code",
      name: "Claude Code",
      where: "In a terminal, in your project's folder.",
      language: "sh",
      code: `ANTHROPIC_BASE_URL=${base} ANTHROPIC_AUTH_TOKEN=none \\\n  ANTHROPIC_MODEL='${shell(model)}' ANTHROPIC_DEFAULT_HAIKU_MODEL='${shell(model)}' \\\n  claude`,
      note: "It talks, and cannot work on files yet: that needs tool calls. Its own instructions are long: use a model with a long context.",
    },
    {
      id: "ollama",
      name: "Programs for Ollama",
      where: "In a terminal, before the program starts; or as its Ollama address.",
      language: "sh",
      code: `export OLLAMA_HOST=${base}\ncurl $OLLAMA_HOST/api/chat -d '${shell(JSON.stringify({ model, messages: [{ role: "user", content: "What is Espalier?" }] }))}'`,
      note: "Programs that ask for no address look at port 11434: Settings can open that one too. Models cannot be pulled here yet.",
    },
    {
      id: "ollama-python",
      name: "Ollama SDK for Python",
      where: "pip install ollama",
      language: "python",
      code: `from ollama import Client\n\nclient = Client(host="${base}")\nanswer = client.chat(\n    model=${quoted(model)},\n    messages=[{"role": "user", "content": "What is a shard?"}],\n)\nprint(answer.message.content)`,
      note: "The address has no path here: the SDK adds it.",
    },
    {
      id: "langchain",
      name: "LangChain",
      where: "pip install langchain-openai",
      language: "python",
      code: `from langchain_openai import ChatOpenAI\n\nllm = ChatOpenAI(base_url="${api}", api_key="none", model=${quoted(model)})\nprint(llm.invoke("What is a shard?").content)`,
      note: "Chains and chat work. Agents that call tools do not yet.",
    },
    {
      id: "continue",
      name: "Continue",
      where: "In ~/.continue/config.yaml.",
      language: "yaml",
      code: `name: Espalier\nversion: 1.0.0\nschema: v1\nmodels:\n  - name: Espalier\n    provider: openai\n    model: ${quoted(model)}\n    apiBase: ${api}\n    apiKey: none\n    roles: [chat, edit, apply]`,
      note: "Use its chat mode: agent mode needs tool calls, which are not here yet.",
    },
    {
      id: "open-webui",
      name: "Open WebUI",
      where: "In a terminal on this computer; it then serves its own page.",
      language: "sh",
      code: `OPENAI_API_BASE_URL=${api} OPENAI_API_KEY=none uvx --python 3.11 open-webui@latest serve`,
      note: "From a Docker container the node is reached only with --network=host on Linux: it listens on this computer alone and refuses other host names.",
    },
    {
      id: "cursor",
      name: "Cursor",
      where: "Settings, Models, Override OpenAI Base URL.",
      language: "",
      code: api,
      note: "This does not work with a local address: Cursor sends these requests from its own servers, which cannot reach this computer. It would take a public address with a proxy that asks for a key and passes requests on as localhost; whoever has such an address can use your cluster.",
    },
  ];
}

/** A string of Python, JavaScript and YAML alike. */
function quoted(text: string): string {
  return JSON.stringify(text);
}

/** Inside single quotes of a shell. */
function shell(text: string): string {
  return text.replaceAll("'", "'\\''");
}
