package stage

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// Ports are free TCP ports of 127.0.0.1 for programs that will listen there, and may be started again there. They are
// below those that the kernel gives to outgoing connections (net.ipv4.ip_local_port_range begins at 32768): one of
// another test could have it when the program wants it.
func Ports(n int) (all []int, err error) {
	const low, high = 15000, 32000
	for range 1000 {
		if len(all) == n {
			return all, nil
		}
		port := low + rand.IntN(high-low)
		l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port))
		if err != nil {
			continue
		}
		defer l.Close() // when all are found, so that none is there twice
		all = append(all, port)
	}
	return nil, errors.New("this machine has no free ports")
}
