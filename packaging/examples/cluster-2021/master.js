// The master: it starts one child for each CPU, and a new one whenever a child dies.
const cluster = require('cluster');
const os = require('os');

// isPrimary exists since Node 16; the example is older.
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
