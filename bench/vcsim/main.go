// SPDX-License-Identifier: Apache-2.0

// The peer of bench/hostd: govmomi's simulator as a host with many VMs.
package main

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"

	"github.com/vmware/govmomi/simulator"
)

func main() {
	vms := flag.Int("vm", 2, "virtual machines")
	listen := flag.String("l", "127.0.0.1:8989", "address")
	flag.Parse()
	model := simulator.ESX()
	model.Machine = *vms
	if err := model.Create(); err != nil {
		panic(err)
	}
	model.Service.Listen = &url.URL{Host: *listen, User: url.UserPassword("root", "vcsim")}
	server := model.Service.NewServer()
	fmt.Println(server.URL)
	end := make(chan os.Signal, 1)
	signal.Notify(end, os.Interrupt)
	<-end
	server.Close()
	model.Remove()
}
