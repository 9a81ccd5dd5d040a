// node server.js PORT [HOST]
require('http').createServer((q, r) => r.end(`pid ${process.pid} instance ${process.env.INSTANCE} ${process.env.NODE_APP_INSTANCE}\n`))
  .listen(...process.argv.slice(2).map((x) => (isNaN(x) ? x : +x)));
