package drain_test

import (
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ring is an io_uring (io_uring(7)) with one entry.
type ring struct {
	fd          int
	sq, cq, sqe []byte
	params      ringParams
}

type ringParams struct {
	sqEntries, cqEntries, flags, cpu, idle, features, wq uint32
	_                                                    [3]uint32
	sq                                                   struct {
		head, tail, mask, entries, flags, dropped, array, _ uint32
		_                                                   uint64
	}
	cq struct {
		head, tail, mask, entries, overflow, cqes, flags, _ uint32
		_                                                   uint64
	}
}

// Offsets for mmap(2), IORING_OP_ACCEPT and IORING_ENTER_GETEVENTS.
const (
	ringSQ, ringCQ, ringSQE = 0, 0x8000000, 0x10000000
	opAccept                = 13
	getEvents               = 1
)

func newRing() (*ring, error) {
	r := &ring{}
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&r.params)), 0)
	if errno != 0 {
		return nil, errno
	}
	r.fd = int(fd)
	p := &r.params
	for _, m := range []struct {
		to   *[]byte
		at   int64
		size uint32
	}{
		{&r.sq, ringSQ, p.sq.array + 4*p.sqEntries},
		{&r.cq, ringCQ, p.cq.cqes + 16*p.cqEntries},
		{&r.sqe, ringSQE, 64 * p.sqEntries},
	} {
		b, err := unix.Mmap(r.fd, m.at, int(m.size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
		if err != nil {
			return nil, err
		}
		*m.to = b
	}
	return r, nil
}

func word(b []byte, at uint32) *uint32 { return (*uint32)(unsafe.Pointer(&b[at])) }

// The method accept submits one accept operation, waits for its end and returns the new
// descriptor.
func (r *ring) accept(listener int) (int, error) {
	clear(r.sqe[:64])
	r.sqe[0] = opAccept
	*word(r.sqe, 4) = uint32(listener)
	p := &r.params
	tail := word(r.sq, p.sq.tail)
	*word(r.sq, p.sq.array+4*(*tail&*word(r.sq, p.sq.mask))) = 0
	atomic.AddUint32(tail, 1)
	for {
		_, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), 1, 1, getEvents, 0, 0)
		if errno != 0 && errno != unix.EINTR {
			return -1, errno
		}
		head := word(r.cq, p.cq.head)
		if atomic.LoadUint32(word(r.cq, p.cq.tail)) == *head {
			continue
		}
		result := int32(*word(r.cq, p.cq.cqes+16*(*head&*word(r.cq, p.cq.mask))+8))
		atomic.AddUint32(head, 1)
		if result < 0 {
			return -1, unix.Errno(-result)
		}
		return int(result), nil
	}
}
