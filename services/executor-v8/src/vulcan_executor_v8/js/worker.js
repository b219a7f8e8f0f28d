// What a Worker runs before user code: it makes the Worker look like the main thread of a normal program, loads the
// entrypoint, calls its default export, and ends the run when nothing is left to do.
//
// Nothing here is a boundary. User code shares this realm and may break all of it; it then only harms its own run.

const { core, Console } = Deno[Deno.internal];
const post = globalThis.postMessage.bind(globalThis);
const close = globalThis.close.bind(globalThis);
const { parse, stringify } = JSON;
const inspect = Deno.inspect;
const now = performance.now.bind(performance);
// Ours, because the first touch of the global setTimeout loads node's timers: a third of what a Worker costs.
// `later` keeps nothing alive; `soon` is the turn after this one, when no microtask is left.
const later = (callback, delay) => core.createTimer(callback, delay, undefined, false, false, true);
const soon = (_onImmediate) => {
  const links = { _idleNext: null, _idlePrev: null, _argv: null, _destroyed: false, asyncId: 0, triggerAsyncId: 0 };
  core.immediateRefCount(true);
  core.queueImmediate({ ...links, _onImmediate, [core.kRefed]: true });
};
const print = (text) => core.print(text, true);
const { store } = Atomics;

let folder = "";
let ended = false;

function end(code, result) {
  if (ended) return;
  ended = true;
  post({ type: "end", code, result });
}

// Deno.exit and, through it, process.exit: the program stops at this very statement.
Deno.exit = (code) => {
  end(code === undefined ? Deno.exitCode : Number(code) || 0);
  close();
  for (;;);
};

function describe(error, depth = 0) {
  if (!(error instanceof Error)) return inspect(error);
  let text = typeof error.stack === "string" && error.stack !== "" ? error.stack : String(error);
  text = text
    .split("\n")
    .filter((line) => !/^\s+at .*(ext:|node:internal\/)/.test(line) && !line.includes(import.meta.url))
    .join("\n");
  if (Array.isArray(error.errors)) {
    for (const inner of error.errors) text += `\n    ${describe(inner, depth + 1).replaceAll("\n", "\n    ")}`;
  }
  if (error.cause !== undefined && depth < 8) text += `\nCaused by: ${describe(error.cause, depth + 1)}`;
  return text;
}

// What Deno says where a module cannot be had, in the words of someone who writes workloads.
function advise(text) {
  if (/Requires import access to|remote module|no-remote/i.test(text)) {
    return "hint: modules are not fetched from the network; bring their files along in the workload's source\n";
  }
  if (/npm specifiers|--no-npm|npm package.*not.*cache|cached-only/i.test(text)) {
    return "hint: only npm packages that this installation allows can be imported\n";
  }
  if (/Requires (net|read|write|run|env|sys|ffi) access to/.test(text)) {
    return "hint: workloads have no such permission; see the documentation of the v8 isolation\n";
  }
  return "";
}

function fail(error, where) {
  try {
    const text = describe(error).replaceAll(folder, "").replace(/, run again with the --allow-\w+ flag/g, "");
    print(`error: ${where}${text}\n${advise(text)}`);
  } catch {
    print("error: Uncaught error that cannot be shown\n");
  }
  end(1);
  close();
}

// The last listeners of their kind, so that a program's own may prevent the default.
function lastListener(type, listener) {
  const add = EventTarget.prototype.addEventListener;
  const remove = EventTarget.prototype.removeEventListener;
  add.call(globalThis, type, listener);
  return () => {
    remove.call(globalThis, type, listener);
    add.call(globalThis, type, listener);
  };
}

let nodeProcess;

function nodeHandles(event, ...args) {
  return nodeProcess !== undefined && nodeProcess.listenerCount(event) > 0 && nodeProcess.emit(event, ...args);
}

const moveError = lastListener("error", (event) => {
  if (event.defaultPrevented) return;
  event.preventDefault();
  if (!nodeHandles("uncaughtException", event.error, "uncaughtException")) fail(event.error, "Uncaught ");
});
const moveRejection = lastListener("unhandledrejection", (event) => {
  if (event.defaultPrevented) return;
  event.preventDefault();
  if (nodeHandles("unhandledRejection", event.reason, event.promise)) return;
  if (!nodeHandles("uncaughtException", event.reason, "unhandledRejection")) {
    fail(event.reason, "Uncaught (in promise) ");
  }
});
const addListener = globalThis.addEventListener;
const removeListener = globalThis.removeEventListener;
globalThis.addEventListener = function addEventListener(type, ...rest) {
  addListener.call(this ?? globalThis, type, ...rest);
  if (type === "error") moveError();
  if (type === "unhandledrejection") moveRejection();
};

// What a blob URL names lives as long as the process, whoever made it: the host must then not serve another run.
let touched;
const { createObjectURL } = URL;
URL.createObjectURL = function (object) {
  store(touched, 0, 1);
  return createObjectURL(object);
};

for (const name of ["postMessage", "close", "onmessage", "onmessageerror", "name"]) delete globalThis[name];

const originalProcess = Object.getOwnPropertyDescriptor(globalThis, "process");

function prepareGlobals(args, input) {
  Object.defineProperty(Deno, "args", { value: args, configurable: true, enumerable: true });
  const load = () => {
    if (nodeProcess === undefined) {
      nodeProcess = originalProcess.get ? originalProcess.get.call(globalThis) : originalProcess.value;
      nodeProcess.argv = ["deno", mainPath, ...args];
    }
    return nodeProcess;
  };
  Object.defineProperty(globalThis, "process", {
    configurable: true,
    enumerable: originalProcess.enumerable,
    get: load,
    set(value) {
      Object.defineProperty(globalThis, "process", { value, writable: true, configurable: true });
    },
  });
  Object.defineProperty(globalThis, "Vulcan", {
    value: Object.freeze({ input, artifact }),
    configurable: true,
  });
}

let room = { bytes: Infinity, count: Infinity };

function artifact(name, data) {
  const parts = typeof name === "string" ? name.split("/") : [""];
  // deno-lint-ignore no-control-regex
  if (parts.some((part) => part === "" || part === "." || part === "..") || /[\x00-\x1f\x7f\\]/.test(name)) {
    throw new TypeError("Vulcan.artifact: the name must be a plain relative path, as in out/report.txt");
  }
  let bytes;
  if (typeof data === "string") bytes = new TextEncoder().encode(data);
  else if (data instanceof ArrayBuffer) bytes = new Uint8Array(data.slice(0));
  else if (ArrayBuffer.isView(data)) {
    bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
  } else throw new TypeError("Vulcan.artifact: the data must be a string, an ArrayBuffer or a typed array");
  post({ type: "artifact", name, data: bytes });
  room.bytes -= bytes.length;
  room.count -= 1;
  if (room.bytes < 0 || room.count < 0) {
    // The executor ends the run when it sees this one. To go on until then would only fill the memory.
    close();
    for (;;);
  }
}

// The one pending operation that is ours: waiting for the next message of the host. Taking its hold off the event loop
// for a moment tells whether the program has any work left, exactly as Deno itself tells for a main thread.
let messageWait;

function findMessageWait() {
  const found = [];
  for (let id = 0; id < 64; id++) if (core.hasPromise(id)) found.push(id);
  if (found.length !== 1) throw new Error(`the event loop holds ${found.length} operations before the program starts`);
  return { [core.promiseIdSymbol]: found[0] };
}

function hasWork() {
  core.unrefOpPromise(messageWait);
  const more = core.eventLoopHasMoreWork();
  core.refOpPromise(messageWait);
  return more;
}

function serialise(value) {
  if (value === undefined) return undefined;
  const text = stringify(value);
  if (text === undefined) throw new TypeError(`a ${typeof value} has no JSON form`);
  return text;
}

let mainPath = "";
let outcome;

function finish() {
  let result;
  try {
    result = serialise(outcome);
  } catch (error) {
    print(`error: The result cannot be written as JSON: ${error?.message ?? error}\n`);
    end(1);
    return;
  }
  if (nodeProcess !== undefined) nodeProcess.emit("exit", Deno.exitCode);
  globalThis.dispatchEvent(new Event("unload"));
  end(Deno.exitCode, Deno.exitCode === 0 ? result : undefined);
}

// Called from a turn of its own, never from a promise: the queue of microtasks, which nobody counts as work, is then empty.
function watchForTheEnd(delay) {
  if (ended) return;
  if (!hasWork()) {
    finish();
    return;
  }
  later(() => watchForTheEnd(Math.min(delay * 2, 16)), delay);
}

async function main(url, input) {
  const module = await import(url);
  if (typeof module.default === "function") outcome = await module.default(input);
}

addListener.call(globalThis, "message", function begin({ data }) {
  folder = data.folder;
  touched ??= data.touched;
  room = data.artifacts;
  mainPath = data.url.startsWith("file://") ? decodeURIComponent(data.url.slice(7)) : data.url;
  const value = data.input.json === undefined ? parseOrText(data.input.text) : parse(data.input.json);
  prepareGlobals(data.args, value);
  // As soon as this turn is over: by then the wait for the next message has begun.
  queueMicrotask(() => {
    messageWait = findMessageWait();
    if (data.rehearsal) {
      rehearse(data.url).then(() => post("ready"));
      return;
    }
    removeListener.call(globalThis, "message", begin);
    main(data.url, value).then(() => soon(() => watchForTheEnd(1)), (error) => fail(error, "Uncaught (in promise) "));
  });
});

function parseOrText(text) {
  if (text === "") return null;
  try {
    return parse(text);
  } catch {
    return text;
  }
}

// V8 compiles a function at its first call, so the first run in a Worker would pay for every step of its way. Each is
// therefore taken once before there is a program: two fifths of the time from the request to the first output.
async function rehearse(url) {
  await main(url, null);
  outcome = undefined;
  serialise(null);
  new Console(() => {}).log("%s", "rehearsal", 1, { a: [1] });
  await new Promise(soon);
  await new Promise((done) => later(done, 0));
  hasWork();
  globalThis.dispatchEvent(new Event("rehearsal"));
}

post("awake");
