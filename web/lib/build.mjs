// Builds the package: the library, its worker, the types; with a site of `mien web` as argument, its models as well.
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

rmSync("dist", { recursive: true, force: true });
await build({
  entryPoints: ["src/mien.ts", "src/worker.ts"], outdir: "dist", bundle: true, format: "esm", minify: true, target: "es2022",
  legalComments: "eof",
});
execFileSync(process.execPath, ["../node_modules/typescript/bin/tsc", "-p", "tsconfig.json", "--noEmit", "false", "--declaration", "--emitDeclarationOnly", "--rootDir", "src", "--outDir", "dist/types"], { stdio: "inherit" });
const site = process.argv[2];
if (site) {
  const manifest = JSON.parse(readFileSync(`${site}/models/manifest.json`, "utf8"));
  const wasm = manifest.wasm.split("/").at(-1);
  mkdirSync("dist/models");
  for (const file of Object.keys(manifest.sha256)) copyFileSync(`${site}/models/${file}`, `dist/models/${file}`);
  copyFileSync(`${site}/${wasm}`, `dist/models/${wasm}`);
  writeFileSync("dist/models/manifest.json", JSON.stringify({ ...manifest, wasm }));
}
