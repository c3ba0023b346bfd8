// Keeps the app's files, so that it works offline. `mien web` fills in the names and the version.
export {};
declare const self: any;
declare const MIEN_FILES: string;

const CACHE = "mien-MIEN_VERSION";
const FILES = ["./", MIEN_FILES];

self.addEventListener("install", (event: any) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(FILES)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event: any) => {
  const old = async (): Promise<void> => {
    for (const name of await caches.keys()) if (name.startsWith("mien-") && name !== CACHE) await caches.delete(name);
    await self.clients.claim();
  };
  event.waitUntil(old());
});

self.addEventListener("fetch", (event: any) => {
  const request: Request = event.request;
  if (request.method !== "GET" || !request.url.startsWith(self.registration.scope)) return;
  const answer = async (): Promise<Response> => {
    const cache = await caches.open(CACHE);
    const kept = await cache.match(request, { ignoreSearch: true });
    if (kept) return kept;
    const found = await fetch(request);
    // The models of the voice come when they are first needed, and stay.
    if (found.ok && request.url.endsWith(".onnx")) await cache.put(request, found.clone());
    return found;
  };
  event.respondWith(answer());
});
