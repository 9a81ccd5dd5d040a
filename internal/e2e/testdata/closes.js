// A minimal server on a Unix socket that closes its listener when it stops. libuv then removes the path.
const server = require('http').createServer((request, response) => response.end(process.pid + '\n'));
server.listen(process.argv[2]);
process.on('SIGTERM', () => server.close(() => process.exit(0)));
