"""What code may not do, as statements that must not come to their end."""

ATTEMPTS: dict[str, str] = {
    "read": "Deno.readTextFileSync('/etc/passwd')",
    "read the environment of the process": "Deno.readTextFileSync('/proc/self/environ')",
    "read its memory": "Deno.openSync('/proc/self/mem')",
    "read by way of its sources": "Deno.readTextFileSync('/src/../proc/self/environ')",
    "read the kernel": "Deno.readTextFileSync('/sys/kernel/notes')",
    "read the runtime": "Deno.readTextFileSync('/vulcan/host.js')",
    "list": "Deno.readDirSync('/').next()",
    "list processes": "[...Deno.readDirSync('/proc')]",
    "write": "Deno.writeTextFileSync('/tmp/x', 'x')",
    "write its sources": "Deno.writeTextFileSync(new URL('./x', import.meta.url), 'x')",
    "write to /proc": "Deno.writeTextFileSync('/proc/self/oom_score_adj', '-1000')",
    "symlink": "Deno.symlinkSync('/etc/passwd', '/src/x')",
    "symlink by node": "(await import('node:fs')).symlinkSync('/etc/passwd', '/tmp/x')",
    "link": "Deno.linkSync('/etc/passwd', '/tmp/x')",
    "chmod": "Deno.chmodSync('/tmp', 0o777)",
    "stat": "Deno.statSync('/etc/passwd')",
    "readlink": "Deno.readLinkSync('/proc/self/exe')",
    "watch": "Deno.watchFs('/')",
    "temporary file": "Deno.makeTempFileSync()",
    "subprocess": "new Deno.Command('/deno').outputSync()",
    "subprocess by node": "(await import('node:child_process')).execSync('id')",
    "fork by node": (
        "const child = (await import('node:child_process')).fork(new URL(import.meta.url).pathname);"
        "await new Promise((y, n) => child.on('spawn', y).on('message', y).on('error', n))"
    ),
    "FFI": "Deno.dlopen('/lib/x86_64-linux-gnu/libc.so.6', {})",
    "pointer": "Deno.UnsafePointerView.getCString(Deno.UnsafePointer.create(4096n))",
    "native module": "process.dlopen({ exports: {} }, '/lib/x86_64-linux-gnu/libc.so.6')",
    "HTTP to itself": "await fetch('http://127.0.0.1:1/')",
    "HTTP to metadata": "await fetch('http://169.254.169.254/latest/meta-data/')",
    "HTTP to a name": "await fetch('http://example.com/')",
    "TCP": "await Deno.connect({ hostname: '127.0.0.1', port: 22 })",
    "TCP by node": "await new Promise((y, n) => net.connect(22, '127.0.0.1').on('connect', y).on('error', n))",
    "TLS": "await Deno.connectTls({ hostname: 'example.com', port: 443 })",
    "UDP": (
        "(await import('node:dgram')).createSocket('udp4').bind(0); await new Promise((_, no) => setTimeout(no, 9))"
    ),
    "DNS": "await Deno.resolveDns('example.com', 'A')",
    "DNS by node": "await (await import('node:dns/promises')).lookup('example.com')",
    "unix socket": "await Deno.connect({ transport: 'unix', path: '/ctl/sock' })",
    "unix socket by node": "await new Promise((y, n) => net.connect('/ctl/sock').on('connect', y).on('error', n))",
    "abstract unix socket": "await Deno.connect({ transport: 'unix', path: '\\0x' })",
    "docker": "await Deno.connect({ transport: 'unix', path: '/var/run/docker.sock' })",
    "listen": "Deno.listen({ port: 0 })",
    "listen on a unix socket": "Deno.listen({ transport: 'unix', path: '/tmp/x' })",
    "serve": "Deno.serve({ port: 0 }, () => new Response())",
    "WebSocket": "new WebSocket('ws://127.0.0.1:1')",
    "HTTP/2": "await new Promise((y, n) => http2.connect('http://127.0.0.1:1').on('connect', y).on('error', n))",
    "environment": "if (Object.keys(Deno.env.toObject()).length === 0) throw new Error('empty')",
    "hostname": "Deno.hostname()",
    "interfaces": "Deno.networkInterfaces()",
    "interfaces by node": "(await import('node:os')).networkInterfaces()",
    "user": "(await import('node:os')).userInfo()",
    "load": "Deno.loadavg()",
    "memory of the machine": "Deno.systemMemoryInfo()",
    "priority": "(await import('node:os')).setPriority(0, -20)",
    "umask": "process.umask(0)",
    "user id": "process.setuid(0)",
    "inspector": "(await import('node:inspector')).open(0)",
    "inspector of the host": "new (await import('node:inspector')).Session().connectToMainThread()",
    "heap snapshot": "(await import('node:v8')).writeHeapSnapshot('/tmp/x')",
    "a database in a file": "new sqlite.DatabaseSync('/tmp/x')",
    "a database that is attached": "new sqlite.DatabaseSync(':memory:').exec(\"attach '/tmp/x' as y\")",
    "a database that is written": "new sqlite.DatabaseSync(':memory:').exec(\"vacuum into '/tmp/x'\")",
    "extension of a database": "new sqlite.DatabaseSync(':memory:', { allowExtension: true }).loadExtension('/x')",
    "local storage": "localStorage.setItem('a', 'b')",
    "KV": "await Deno.openKv()",
    "more permissions": "if ((await Deno.permissions.request({ name: 'read' })).state !== 'granted') throw 0",
    "a Worker with more": (
        "new Worker('data:text/javascript,1', { type: 'module', deno: { permissions: { read: true } } })"
    ),
    "a Worker that inherits": (
        'const w = new Worker(\'data:text/javascript,try { Deno.readTextFileSync("/etc/passwd"); postMessage(1) }'
        " catch { postMessage(0) }', { type: 'module', deno: { permissions: 'inherit' } });"
        "if (!await new Promise((r) => w.onmessage = ({ data }) => r(data))) throw 0"
    ),
    "import a file": "await import('file:///vulcan/host.js')",
    "import a file as text": "await import('file:///etc/passwd', { with: { type: 'text' } })",
    "import a file as bytes": "await import('file:///proc/self/environ', { with: { type: 'bytes' } })",
    "import as JSON": "await import('file:///etc/passwd', { with: { type: 'json' } })",
    "import https": "await import('https://example.com/x.js')",
    "import npm": "await import('npm:left-pad')",
    "import jsr": "await import('jsr:@std/path')",
    "require a file": "(await import('node:module')).createRequire('file:///vulcan/')('./host.js')",
    "node fs": "(await import('node:fs')).readFileSync('/etc/passwd')",
    "node fs promises": "await (await import('node:fs/promises')).readFile('/etc/passwd')",
    "node temporary folder": "(await import('node:fs')).mkdtempSync('/tmp/x')",
    "WASI": (
        "new (await import('node:wasi')).WASI({ version: 'preview1', preopens: { '/': '/' } }).wasiImport"
        ".path_open(3, 0, 0, 0, 0, 0n, 0n, 0, 0) === 0 || (() => { throw 0 })()"
    ),
    "patch the runtime": (
        "Deno[Deno.internal].core.ops.op_desktop_apply_patch(new Uint8Array(20), new Uint8Array(9), 'x', 'y')"
    ),
}
"""Statements that must not come to their end. `net`, `http2` and `sqlite` are node's modules."""


def every_attempt() -> str:
    """A program that tries all of them and gives those that worked."""
    tries = ",\n".join(f"{name!r}: async () => {{ {code}; }}" for name, code in ATTEMPTS.items())
    return f"""
import net from 'node:net';
import http2 from 'node:http2';
import sqlite from 'node:sqlite';
const attempts = {{ {tries} }};
addEventListener('error', (event) => event.preventDefault());
addEventListener('unhandledrejection', (event) => event.preventDefault());
process.on('uncaughtException', () => {{}});
const late = (ms) => new Promise((_, no) => setTimeout(() => no(new Error('nothing came of it')), ms));
const worked = [];
for (const [name, attempt] of Object.entries(attempts)) {{
  try {{ await Promise.race([attempt(), late(2000)]); worked.push(name); }} catch {{ /* refused, as it should be */ }}
}}
console.log(JSON.stringify(worked));
Deno.exit(0);
"""
