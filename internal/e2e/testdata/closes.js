// The plainest server on a Unix socket that ends politely: libuv removes the path when the server closes.
const server = require('http').createServer((request, response) => response.end(process.pid + '\n'));
server.listen(process.argv[2]);
process.on('SIGTERM', () => server.close(() => process.exit(0)));
