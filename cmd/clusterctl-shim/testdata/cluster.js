// The usual form of the cluster module: the primary binds, the workers answer.
const cluster = require('cluster');
if (cluster.isPrimary) {
  for (let i = 0; i < 2; i++) cluster.fork();
} else {
  require('http').createServer((q, r) => r.end(`pid ${process.pid}\n`)).listen(+process.argv[2]);
}
