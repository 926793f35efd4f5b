"use strict";
// Keeps the page for use without a network, and gives every file the headers without which a browser has no threads.

const VERSION = "{{ version }}", FILES = {{ files }}, LARGE = {{ large }};
const PREFIX = `unet_tf ${self.registration.scope} `, CACHE = PREFIX + VERSION;
const HEADERS = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Content-Security-Policy": "{{ policy }}",
};

self.addEventListener("install", (event) => {
  const all = FILES.map((file) => new Request(file, { cache: "reload" }));
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(all)));
});

self.addEventListener("activate", (event) => {
  const older = async () => {
    for (const name of await caches.keys()) if (name.startsWith(PREFIX) && name !== CACHE) await caches.delete(name);
    await self.clients.claim();
  };
  event.waitUntil(older());
});

self.addEventListener("fetch", (event) => {
  const address = new URL(event.request.url), scope = self.registration.scope;
  const name = "./" + ((address.origin + address.pathname).slice(scope.length) || "index.html");
  if (event.request.method === "GET" && address.href.startsWith(scope) && (FILES.includes(name) || LARGE.includes(name))) {
    event.respondWith(answer(new URL(name, scope).href));
  }
});

// Small files are here since the installation; large ones, of which a browser needs some, from when they are asked for.
async function answer(address) {
  const cache = await caches.open(CACHE);
  let found = await cache.match(address);
  if (!found) {
    found = await fetch(address, { cache: "no-cache" });
    if (!found.ok) return found;
    try {
      await cache.put(address, found.clone());
    } catch {} // no space: it comes from the network each time
  }
  const headers = new Headers(found.headers);
  for (const name of ["Content-Encoding", "Content-Length"]) headers.delete(name); // of what came over the network
  for (const [name, value] of Object.entries(HEADERS)) headers.set(name, value);
  return new Response(found.body, { status: found.status, statusText: found.statusText, headers });
}
