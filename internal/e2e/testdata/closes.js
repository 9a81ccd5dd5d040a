// This server listens on a Unix socket. When it stops, it closes its listener, and libuv removes the socket file.
const server = require('http').createServer((request, response) => response.end(process.pid + '\n'));
server.listen(process.argv[2]);
process.on('SIGTERM', () => server.close(() => process.exit(0)));
