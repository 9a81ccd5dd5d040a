// clusterctl: NODE_OPTIONS="--require THIS_FILE" loads this script into an
// unmodified Node.js program (12 and later), so that no request of a keep-alive
// client is lost when the instance is drained. Until then it does nothing.
//
// Before an instance is stopped, "clusterctl-shim drain" keeps new connections
// away from it and waits for the open ones. A client that sends requests without
// a pause does not close its connection until an answer has the header
// "Connection: close", which only the server can send. An idle connection stays
// open, since the next request of the client may be on its way: it gets the
// header with its next answer, or Node closes it after server.keepAliveTimeout.
//
// The drain sends SIGURG, which is ignored by default and not used by Node
// programs, to the processes that have this file open. This script does not
// handle SIGTERM: another listener would change the behaviour of other code
// (signal-exit ends the process only if it has the only listener).
'use strict';

(() => {
  // A worker thread does not get signals, so its servers are not covered.
  if (!require('worker_threads').isMainThread) return;
  try {
    // The drain recognises the process by this open file, which exec closes.
    require('fs').openSync(__filename, 'r');
    process.on('SIGURG', announceClose);
  } catch (err) {
    // Without the permission (--permission), or without a free descriptor, do nothing.
  }

  let told = false;

  function announceClose() {
    if (told) return;
    told = true;
    // Load the module here, so that it does not slow down the start.
    const { ServerResponse } = require('http');
    const writeHead = ServerResponse.prototype.writeHead;

    // All answers of http and https call writeHead, even with implicit headers.
    ServerResponse.prototype.writeHead = function clusterctlWriteHead(status, ...rest) {
      if (this.headersSent || status === 101) return writeHead.call(this, status, ...rest);
      // If the program sets no Connection header, this makes Node write
      // "Connection: close", and end the connection after the answer.
      this.shouldKeepAlive = false;
      const last = rest.length - 1;
      if (last >= 0) rest[last] = withClose(rest[last]);
      if (this.getHeaderNames().length > 0 || this._removedConnection) this.setHeader('Connection', 'close');
      return writeHead.call(this, status, ...rest);
    };
  }

  // withClose returns the headers argument of writeHead with its Connection header,
  // if there is one, replaced. The argument is an object, or an array of names and
  // values or of pairs. A reason phrase (a string) is returned unchanged.
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
