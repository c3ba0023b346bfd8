// What goes into the page as it is: the document, and the license of what is bundled.
import { copyFileSync } from "node:fs";

const page = "../../src/mien/serve/page/";
copyFileSync("src/index.html", page + "index.html");
copyFileSync("../node_modules/uplot/LICENSE", page + "uplot-license.txt");
