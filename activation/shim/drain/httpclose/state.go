package httpclose

// Offsets in the state of a connection. After the connection was added, only the BPF program writes the state. It holds the
// lock of the socket, so it handles one send at a time.
const (
	stateKey    = 0  // key of the connection in the maps
	stateRead   = 4  // bytes that the server had read at its last send (the low 32 bits)
	stateSent   = 8  // whether the server has sent since the connection was added
	stateDone   = 12 // whether an answer has carried Connection: close
	stateClose  = 16 // position of "Connection: keep-alive" in the head, or 0
	stateDate   = 20 // position of Date, or 0
	stateFlags  = 24
	stateSize   = 28 // how many bytes of this send are in the copy
	stateScan   = 32 // position of the scan
	stateCopy   = 40 // copy of the send, with room for a line that begins at the limit
	stateLength = stateCopy + limit + 64
)

// Flags of the head of an answer, and of the base.
const (
	hasLength      = 1 // it has a length, or a status without a body, so the connection stays open after the answer
	keepHead       = 2 // it has a signature, or a Connection header of another form, so it must not be changed
	baseKnown      = 1 // in baseFlags: baseRead is valid
	requestPending = 2 // in baseFlags: a request came after the last answer
)

// Offsets in the base, which Add knows about a connection.
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

// maps holds the descriptors of the maps that the program uses.
type maps struct{ state, base, results int }
