// Checks objects of the Prometheus operator, a JSON list on standard input, by its schemas; a line for each problem.
// The argument is the directory node_modules that has them.
import { readFileSync, realpathSync } from "node:fs";

// By path: what the package exports copies an object before it looks at it.
const schemas = realpathSync(`${process.argv[2]}/@kubernetes-models/prometheus-operator/_schemas`);
const prefix = "ComGithubPrometheusOperatorPrometheusOperatorPkgApisMonitoringV1";

// A schema has nothing against a field that it does not know, but never looks at it either.
function watched(value, path, unseen) {
  if (value === null || typeof value !== "object") return value;
  const copy = Array.isArray(value) ? [] : {};
  for (const [key, item] of Object.entries(value)) {
    copy[key] = watched(item, `${path}/${key}`, unseen);
    unseen.add(`${path}/${key}`);
  }
  const get = (target, key) => {
    unseen.delete(`${path}/${String(key)}`);
    return target[key];
  };
  return new Proxy(copy, { get });
}

for (const object of JSON.parse(readFileSync(0, "utf8"))) {
  const { validate } = await import(`${schemas}/${prefix}${object.kind}.js`);
  const unseen = new Set();
  validate(watched(object, object.kind, unseen));
  for (const { instancePath, keyword } of validate.errors ?? []) console.log(`${object.kind}${instancePath}: ${keyword}`);
  for (const path of unseen) console.log(`${path}: unknown`);
}
