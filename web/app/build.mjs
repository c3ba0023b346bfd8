// Builds the app into the Python package: src/mien/web/app, from which `mien web` makes a site.
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { build } from "esbuild";

const out = "../../src/mien/web/app";
mkdirSync(out, { recursive: true });
const options = { bundle: true, format: "esm", minify: true, target: "es2022", legalComments: "eof" };
await build({ ...options, entryPoints: { app: "src/app.ts", style: "src/app.css", sw: "src/sw.ts", sound: "../page/src/sound.ts", worker: "../lib/src/worker.ts" }, outdir: out });
for (const name of ["index.html", "app.webmanifest", "icon.svg"]) copyFileSync(`src/${name}`, `${out}/${name}`);
// The runtime under xz, which Python unpacks: a sixth of its size.
const runtime = dirname(createRequire(import.meta.url).resolve("onnxruntime-web/wasm"));
const packed = execFileSync("xz", ["-9e", "--threads=1", "--stdout", `${runtime}/ort-wasm-simd-threaded.wasm`], { maxBuffer: 1 << 26 });
writeFileSync(`${out}/ort.wasm.xz`, packed);
const uplot = readFileSync("../node_modules/uplot/LICENSE", "utf8");
writeFileSync(`${out}/licenses.txt`, `The app contains µPlot and ONNX Runtime Web (github.com/microsoft/onnxruntime), both under the MIT License.\n\nµPlot: ${uplot.trim()}\n\nONNX Runtime: Copyright (c) Microsoft Corporation; the same terms.\n`);
