// The master process. It starts one child per CPU, and replaces a child that has exited.
const cluster = require('cluster');
const os = require('os');

// Newer programs use isPrimary, which exists since Node 16.
if (cluster.isMaster) {
  console.log(`master ${process.pid} runs`);
  for (let i = 0; i < os.cpus().length; i++) {
    cluster.fork();
  }
  cluster.on('exit', (worker, code) => {
    console.log(`child ${worker.process.pid} died with ${code}, starting another`);
    cluster.fork();
  });
} else {
  require('./child.js');
}
