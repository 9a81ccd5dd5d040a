// Node's own cluster module around the program in PROGRAM: WORKERS of it, and another one for each that dies.
'use strict';
const cluster = require('cluster');

if (cluster.isPrimary) {
  for (let i = 0; i < Number(process.env.WORKERS); i++) cluster.fork();
  cluster.on('exit', () => cluster.fork());
} else {
  require(process.env.PROGRAM);
}
