// Runs PROGRAM in Node's cluster module with WORKERS workers, and replaces each worker that dies.
'use strict';
const cluster = require('cluster');

if (cluster.isPrimary) {
  for (let i = 0; i < Number(process.env.WORKERS); i++) cluster.fork();
  cluster.on('exit', () => cluster.fork());
} else {
  require(process.env.PROGRAM);
}
