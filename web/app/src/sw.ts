// Keeps the app's files, so that it works offline. `mien web` fills in the names and the version.
export {};
declare const self: any;
declare const MIEN_FILES: string;

// Sites of one origin share its caches: each keeps to those of its folder.
const OWN = `mien ${self.registration.scope} `;
const CACHE = `${OWN}MIEN_VERSION`;
const FILES = ["./", MIEN_FILES];

// Files without a hash in their name may be old in the browser's own cache. A new version waits until no page of the old
// one is open: that page goes on with its own files.
self.addEventListener("install", (event: any) => {
  const isHashed = (file: string): boolean => /\.[0-9a-f]{10}\./.test(file);
  const requests = FILES.map((file) => new Request(file, { cache: isHashed(file) ? "default" : "no-cache" }));
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(requests)));
});

self.addEventListener("activate", (event: any) => {
  const old = async (): Promise<void> => {
    for (const name of await caches.keys()) if (name.startsWith(OWN) && name !== CACHE) await caches.delete(name);
    await self.clients.claim();
  };
  event.waitUntil(old());
});

self.addEventListener("fetch", (event: any) => {
  const request: Request = event.request;
  if (request.method !== "GET" || !request.url.startsWith(self.registration.scope)) return;
  const answer = async (): Promise<Response> => {
    const cache = await caches.open(CACHE);
    const kept = await cache.match(request.url.replace(/\/index\.html(?=$|[?#])/, "/"), { ignoreSearch: true });
    if (kept) return kept;
    const found = await fetch(request);
    // The models of the voice come when they are first needed, and stay.
    if (found.ok && request.url.endsWith(".onnx")) await cache.put(request, found.clone());
    return found;
  };
  event.respondWith(answer());
});
