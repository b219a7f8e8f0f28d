// The host: one process, one tenant, one run at a time, each in a fresh Web Worker.
//
// The control socket belongs to this isolate alone. Every request brings a secret that nothing in the Worker's isolate
// can read, and every reply carries it, so that bytes which user code might push into the socket are never taken for
// a reply. User output does not pass through here: the Worker writes to fd 1 and fd 2 itself.

const [socketPath, workerUrl, sourceFolder, warmUrl, proxyPath, proxyPort] = Deno.args;
const egress = proxyPath !== undefined;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

const control = await Deno.connect({ transport: "unix", path: socketPath });
await Deno.permissions.revoke({ name: "write", path: socketPath });
await Deno.permissions.revoke({ name: "read", path: socketPath });
if (egress) forwardToProxy();
else await Deno.permissions.revoke({ name: "net" });

const permissions = {
  read: [sourceFolder],
  env: true,
  net: egress,
  write: false,
  run: false,
  ffi: false,
  sys: false,
  import: false,
};

const unsent = [];
let sending = false;

async function sendAll() {
  sending = true;
  while (unsent.length > 0) {
    const frame = unsent.shift();
    for (let sent = 0; sent < frame.length;) sent += await control.write(frame.subarray(sent));
  }
  sending = false;
}

function send(header, payload) {
  const head = encoder.encode(JSON.stringify({ ...header, size: payload?.byteLength ?? 0 }));
  const frame = new Uint8Array(4 + head.length + (payload?.byteLength ?? 0));
  new DataView(frame.buffer).setUint32(0, head.length);
  frame.set(head, 4);
  if (payload) frame.set(payload, 4 + head.length);
  unsent.push(frame);
  if (!sending) sendAll();
}

async function readExactly(size) {
  const bytes = new Uint8Array(size);
  for (let got = 0; got < size;) {
    const count = await control.read(bytes.subarray(got));
    if (count === null) Deno.exit(0);
    got += count;
  }
  return bytes;
}

async function readRequest() {
  const size = new DataView((await readExactly(4)).buffer).getUint32(0);
  return JSON.parse(decoder.decode(await readExactly(size)));
}

// The only thing that a run with network access can reach: a port here, behind which the executor's proxy decides.
function forwardToProxy() {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: Number(proxyPort) });
  const join = async (near) => {
    try {
      const far = await Deno.connect({ transport: "unix", path: proxyPath });
      await Promise.allSettled([near.readable.pipeTo(far.writable), far.readable.pipeTo(near.writable)]);
    } catch {
      near.close();
    }
  };
  (async () => {
    for await (const connection of listener) join(connection);
  })();
}

function clearEnvironment() {
  for (const name of Object.keys(Deno.env.toObject())) Deno.env.delete(name);
  if (egress) {
    for (const name of ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"]) {
      Deno.env.set(name, `http://127.0.0.1:${proxyPort}`);
    }
    Deno.env.set("NODE_USE_ENV_PROXY", "1");
  }
}

// Set by a Worker whose run made something that outlives it in this process. User code can neither reach nor clear it.
const touched = new Uint8Array(new SharedArrayBuffer(1));

const rehearsal = {
  rehearsal: true,
  touched,
  url: "data:text/javascript,export default 0",
  folder: "",
  args: [],
  input: { json: "null" },
  artifacts: { bytes: 0, count: 0 },
};

// A Worker that has loaded its bootstrap, has rehearsed a run and waits; user code has not touched it.
function freshWorker() {
  return new Promise((ready) => {
    const worker = new Worker(workerUrl, { type: "module", deno: { permissions } });
    worker.onmessage = () => {
      worker.onmessage = () => ready(worker);
      worker.postMessage(rehearsal);
    };
  });
}

// Everything that comes from the Worker is data: structured clones, without getters or foreign prototypes.
function run(worker, request) {
  return new Promise((finished) => {
    const end = (code, result) => {
      worker.onmessage = worker.onerror = null;
      send({ type: "end", nonce: request.nonce, code, result });
      worker.terminate();
      finished();
    };
    worker.onmessage = ({ data }) => {
      if (data === null || typeof data !== "object") return;
      if (data.type === "artifact" && typeof data.name === "string" && data.data instanceof Uint8Array) {
        send({ type: "artifact", nonce: request.nonce, name: data.name }, data.data);
      } else if (data.type === "end") {
        const code = Number.isInteger(data.code) ? data.code & 255 : 1;
        end(code, typeof data.result === "string" ? data.result : undefined);
      }
    };
    worker.onmessageerror = () => {};
    worker.onerror = (event) => {
      event.preventDefault();
      end(1);
    };
    for (const [name, value] of Object.entries(request.env)) Deno.env.set(name, value);
    Deno.exitCode = 0;
    const { url, folder, args, input, artifacts } = request;
    worker.postMessage({ url, folder, args, input, artifacts });
  });
}

await import(warmUrl);
clearEnvironment();
let worker = await freshWorker();
send({ type: "ready", pid: Deno.pid });
for (;;) {
  const request = await readRequest();
  if (request.type === "run") {
    await run(worker, request);
    worker = undefined;
  } else if (request.type === "renew") {
    if (Atomics.load(touched, 0) !== 0) Deno.exit(0);
    clearEnvironment();
    worker = await freshWorker();
    send({ type: "renewed", nonce: request.nonce });
  }
}
