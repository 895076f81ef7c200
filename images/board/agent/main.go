// Command agent runs inside the virtual board and does what the test on the host says, over a virtio serial port: each
// line is a request, each answer a line. It is part of the board's image and of nothing else.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// port is the serial port, by the name that QEMU gives it.
const port = "/dev/virtio-ports/agent"

type request struct {
	Run string `json:"run"` // a shell script
	In  []byte `json:"in"`  // its standard input
}

type reply struct {
	Code int    `json:"code"`
	Out  []byte `json:"out"` // standard output and error
}

func main() {
	for {
		if err := serve(); err != nil {
			fmt.Fprintln(os.Stderr, "agent:", err)
		}
		time.Sleep(time.Second)
	}
}

func serve() error {
	f, err := os.OpenFile(port, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 1<<20)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return err
		}
		var r request
		if json.Unmarshal(line, &r) != nil {
			continue // half a line of a host that went away
		}
		c := exec.Command("/bin/sh", "-c", r.Run)
		c.Stdin = bytes.NewReader(r.In)
		out, err := c.CombinedOutput()
		a := reply{Out: out}
		if err != nil {
			if a.Code = c.ProcessState.ExitCode(); a.Code == 0 {
				a.Code = -1
			}
			if c.ProcessState == nil {
				a.Out = []byte(err.Error())
			}
		}
		b, _ := json.Marshal(a)
		if _, err := f.Write(append(b, '\n')); err != nil {
			return err
		}
	}
}
