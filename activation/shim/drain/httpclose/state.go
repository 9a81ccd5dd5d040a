package httpclose

// Offsets in the state of a connection. Only the BPF program writes the state after Add. During a send, the kernel holds
// the lock of the socket, so the program never runs twice at the same time for one connection.
const (
	stateKey    = 0  // key of the connection in the maps
	stateRead   = 4  // number of bytes that the server had read at its last send (the low 32 bits)
	stateSent   = 8  // 1 if the server has sent since Add
	stateDone   = 12 // 1 if the program has added Connection: close
	stateClose  = 16 // position of "Connection: keep-alive" in the head, or 0
	stateDate   = 20 // position of Date in the head, or 0
	stateFlags  = 24
	stateSize   = 28 // number of bytes of this send in the copy
	stateScan   = 32 // position of the scan in the copy
	stateCopy   = 40 // copy of the send, with room for a line that begins at the limit
	stateLength = stateCopy + limit + 64
)

// Flags in stateFlags.
const (
	hasLength = 1 // the response has a length, or a status without a body, so the connection stays open after the response
	keepHead  = 2 // the head has a signature, or a Connection header of another form, so it must not be changed
)

// Offsets in the initial counters, the state of a connection at the time of Add.
const (
	initialRead   = 0 // number of bytes that the server had read
	initialFlags  = 4
	initialLength = 8
)

// Flags in initialFlags.
const (
	initialKnown   = 1 // initialRead is valid
	requestPending = 2 // a request came after the last response
)

// Results that the program stores for a connection.
const (
	resultRewritten = 1
	resultNotHTTP   = 2
)

// Offsets in struct sk_msg_md, the context of the program. sockState is the offset of the state in struct bpf_sock.
const (
	msgData, msgDataEnd, msgSock = 0, 8, 72
	sockState                    = 72
	established                  = 1
)

// maps holds the descriptors of the maps that the program uses.
type maps struct{ state, initial, results int }
