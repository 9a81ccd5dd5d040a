package httpclose

// The words of the state of a connection, in bytes. Only the program writes them after the connection has been added; the
// lock of the socket lets it do so for one send at a time.
const (
	stateKey    = 0  // of the connection in the maps
	stateRead   = 4  // bytes that the server had read when it sent last (the low 32 bits)
	stateSent   = 8  // whether it has sent since the connection was added
	stateDone   = 12 // whether an answer has carried Connection: close
	stateClose  = 16 // where in the head "Connection: keep-alive" is, or 0
	stateDate   = 20 // where Date is, or 0
	stateFlags  = 24
	stateSize   = 28 // bytes of this send that are in the copy
	stateScan   = 32 // how far the scan has come
	stateCopy   = 40 // of what is sent, and room for a line that begins at the limit
	stateLength = stateCopy + limit + 64
)

// What the head of an answer has.
const (
	hasLength      = 1 // a length, or a status that has no body: the connection goes on behind the answer
	keepHead       = 2 // a signature, or a Connection header of another form: leave the head as it is
	baseKnown      = 1 // of baseFlags: baseRead holds
	requestPending = 2 // the last that happened was that a request came
)

// The words of what Add knows of a connection.
const (
	baseRead   = 0
	baseFlags  = 4
	baseLength = 8
)

// Results that the program stores for a connection.
const (
	resultRewritten = 1
	resultNotHTTP   = 2
)

// Offsets in the context, struct sk_msg_md, and of the state in struct bpf_sock.
const (
	msgData, msgDataEnd, msgSock = 0, 8, 72
	sockState                    = 72
	established                  = 1
)

// maps are the descriptors of the maps that the program uses.
type maps struct{ state, base, results int }
