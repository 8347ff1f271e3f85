// What Prisma's Python client expects of its `query-engine` program, on top of Prisma's own engine as WebAssembly.
//
// The program itself comes from a host that not every machine can reach, npm has the WebAssembly build. That one
// speaks only Prisma's JSON protocol, and the Python client only GraphQL: the rest of this file translates.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const glue = require("@prisma/client/runtime/query_engine_bg.postgresql.js");
const { PrismaPg } = require("@prisma/adapter-pg");
const { bindAdapter } = require("@prisma/driver-adapter-utils");
const { Pool } = require("pg");
const { parse, valueFromASTUntyped } = require("graphql");

const ACTION =
  /^(findUnique|findFirst|findMany|createOne|createMany|updateOne|updateMany|deleteOne|deleteMany|upsertOne|aggregate|groupBy)(.*?)(OrThrow)?$/;

const argumentsOf = (node) =>
  Object.fromEntries(node.arguments.map((item) => [item.name.value, valueFromASTUntyped(item.value)]));

const selectionOf = (set) =>
  Object.fromEntries(
    (set?.selections ?? []).map((node) => [
      node.name.value,
      node.selectionSet ? { arguments: argumentsOf(node), selection: selectionOf(node.selectionSet) } : true,
    ]),
  );

// In GraphQL a JSON value is text, which the JSON protocol would store as text: it has to be told.
function typed(value, model) {
  if (Array.isArray(value)) return value.map((item) => typed(item, model));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => {
      const kind = fields[model]?.[key];
      return [key, kind === "Json" ? json(item) : typed(item, kind in fields ? kind : model)];
    }),
  );
}

function json(value) {
  if (typeof value === "string") return { $type: "Json", value };
  if (Array.isArray(value)) return value.map(json);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, key === "path" ? item : json(item)]));
}

function translated(text) {
  const field = parse(text).definitions[0].selectionSet.selections[0];
  const [, action, modelName, orThrow] = field.name.value.match(ACTION) ?? [];
  const query = { arguments: typed(argumentsOf(field), modelName), selection: selectionOf(field.selectionSet) };
  return action ? { modelName, action: action + (orThrow ?? ""), query } : { action: field.name.value, query };
}

// Values such as times come with a type, which GraphQL leaves out.
function plain(value) {
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== "object") return value;
  if ("$type" in value) return value.value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
}

// The program hands out JSON columns of raw queries parsed, this engine as text.
function raw(result) {
  const cell = (value, column) =>
    result.types[column] === "json" && typeof value === "string" ? JSON.parse(value) : value;
  return { ...result, rows: result.rows.map((row) => row.map(cell)) };
}

function answered(result) {
  if (!("data" in result)) return result;
  const [[name, value]] = Object.entries(result.data);
  return { ...result, data: { result: name === "queryRaw" ? raw(value) : plain(value) } };
}

async function query(body, transaction) {
  const asked = JSON.parse(body);
  const wanted = asked.batch
    ? { batch: asked.batch.map((item) => translated(item.query)), transaction: asked.transaction ? {} : undefined }
    : translated(asked.query);
  const result = JSON.parse(await engine.query(JSON.stringify(wanted), "{}", transaction));
  return result.batchResult ? { ...result, batchResult: result.batchResult.map(answered) } : answered(result);
}

async function answer(request, body) {
  if (request.url === "/status") return { status: "ok" };
  if (request.url.startsWith("/metrics")) return { counters: [], gauges: [], histograms: [] };
  if (request.url === "/transaction/start") return JSON.parse(await engine.startTransaction(body, "{}"));
  const [, id, end] = request.url.match(/^\/transaction\/([^/]+)\/(commit|rollback)$/) ?? [];
  if (end === "commit") return JSON.parse(await engine.commitTransaction(id, "{}"));
  if (end === "rollback") return JSON.parse(await engine.rollbackTransaction(id, "{}"));
  return query(body, request.headers["x-transaction-id"]);
}

const wasm = readFileSync(require.resolve("@prisma/client/runtime/query_engine_bg.postgresql.wasm"));
const { instance } = await WebAssembly.instantiate(wasm, { "./query_engine_bg.js": glue });
glue.__wbg_set_wasm(instance.exports);
const datamodel = readFileSync(process.env.PRISMA_DML_PATH, "utf8");
// By model: the type of each of its fields.
const fields = Object.fromEntries(
  [...datamodel.matchAll(/^model (\w+) \{(.*?)^\}/gms)].map(([, model, body]) => [
    model,
    Object.fromEntries([...body.matchAll(/^\s+(\w+)\s+(\w+)/gm)].map(([, name, kind]) => [name, kind])),
  ]),
);
const overwritten = JSON.parse(process.env.OVERWRITE_DATASOURCES ?? "[{}]")[0].url;
const pool = new Pool({ connectionString: (overwritten ?? process.env.DATABASE_URL).split("?")[0] });
const engine = new glue.QueryEngine(
  {
    datamodel,
    configDir: ".",
    env: {},
    ignoreEnvVarErrors: true,
    logLevel: "error",
    logQueries: false,
    engineProtocol: "json",
  },
  (line) => console.error(`engine: ${line}`),
  bindAdapter(new PrismaPg(pool)),
);
await engine.connect("{}");

createServer(async (request, response) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  let result;
  try {
    result = await answer(request, body);
  } catch (error) {
    console.error(`engine: ${error.stack}`);
    result = { errors: [{ error: String(error.message) }] };
  }
  response.writeHead(200, { "content-type": "application/json" });
  response.end(JSON.stringify(result));
}).listen(Number(process.argv[process.argv.indexOf("-p") + 1]));

for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(0));
