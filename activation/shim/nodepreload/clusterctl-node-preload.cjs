// clusterctl: loaded into an unmodified Node.js program (12 and later) by
// NODE_OPTIONS="--require THIS_FILE", so that its keep-alive clients lose no
// request when the instance is drained. It does nothing until then.
//
// Why: before an instance is stopped, "clusterctl-shim drain" keeps new connections
// from it and waits for the open ones. A client that always has its next request
// ready never leaves by itself; HTTP has a word for that, "Connection: close" on
// an answer, and only the server can say it. An idle connection is not closed:
// the client's next request may be under way. It gets the word with its next
// answer, or Node closes it after server.keepAliveTimeout, as always.
//
// How the drain tells us: SIGURG, which is ignored by default and used by no Node
// program. It is sent to processes alone that hold this file open. SIGTERM is left
// to the program: a listener of ours would change what others do (signal-exit
// ends the process only if it is the only one that listens).
'use strict';

(() => {
  // A worker thread gets no signals; its servers are not covered.
  if (!require('worker_threads').isMainThread) return;
  try {
    // Kept open: the mark by which the drain knows us. Closed on exec.
    require('fs').openSync(__filename, 'r');
    process.on('SIGURG', announceClose);
  } catch (err) {
    // No permission (--permission), or no descriptor left: as if not loaded.
  }

  let told = false;

  function announceClose() {
    if (told) return;
    told = true;
    // Loaded here and not above, so that a start costs nothing.
    const { ServerResponse } = require('http');
    const writeHead = ServerResponse.prototype.writeHead;

    // Every answer of http and https passes here, also with implicit headers.
    ServerResponse.prototype.writeHead = function clusterctlWriteHead(status, ...rest) {
      if (this.headersSent || status === 101) return writeHead.call(this, status, ...rest);
      // What makes Node write "Connection: close", and end the connection after
      // the answer, where the program has no Connection header of its own.
      this.shouldKeepAlive = false;
      const last = rest.length - 1;
      if (last >= 0) rest[last] = withClose(rest[last]);
      if (this.getHeaderNames().length > 0 || this._removedConnection) this.setHeader('Connection', 'close');
      return writeHead.call(this, status, ...rest);
    };
  }

  // withClose returns the headers argument of writeHead, an object, or an array of
  // names and values or of pairs, with its Connection header, if any, replaced.
  // A reason phrase (a string) comes back as it is.
  function withClose(headers) {
    const isConnection = (name) => String(name).toLowerCase() === 'connection';
    if (Array.isArray(headers)) {
      if (Array.isArray(headers[0])) return headers.map((p) => (isConnection(p[0]) ? [p[0], 'close'] : p));
      return headers.map((v, i) => (i % 2 === 1 && isConnection(headers[i - 1]) ? 'close' : v));
    }
    if (headers === null || typeof headers !== 'object') return headers;
    const name = Object.keys(headers).find(isConnection);
    return name === undefined ? headers : { ...headers, [name]: 'close' };
  }
})();
