package cli

import (
	"errors"
	"fmt"
	"net"

	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/bench/metrics"
	"github.com/leasestorm/leasestorm/bench/play"
)

func playCommand() *cobra.Command {
	var listen, out string
	cmd := &cobra.Command{
		Use:   "play",
		Short: "serve the playground: the virtual engine in your browser",
		Long: `Serves a page on this host that runs scenarios in the browser, in WebAssembly: sliders, the law's
answer while they move, up to four contestants side by side, and the curves of the report. The files of
a run are those of sim, to the byte. Nothing leaves the browser.

Prints the page's address and serves it until Ctrl-C, which ends it with status 130. --out writes the
page as a folder of static files instead, which any web server can serve.

  leasestorm play
  leasestorm play --listen 127.0.0.1:8080
  leasestorm play --out playground`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out != "" && cmd.Flags().Changed("listen") {
				return usage(errors.New("--out writes the playground's files and --listen serves them: leave one of them out"))
			}
			addr, err := metrics.Loopback(listen)
			if err != nil {
				return usage(fmt.Errorf("--listen: %w", err))
			}
			site, err := play.Built()
			if err != nil {
				return err
			}
			if out != "" {
				if err := site.Write(out); err != nil {
					return err
				}
				fmt.Fprintln(cmd.OutOrStdout(), out)
				return nil
			}
			port, err := (&net.ListenConfig{}).Listen(cmd.Context(), "tcp", addr)
			if err != nil {
				return fmt.Errorf("--listen: %w", metrics.Taken(addr, err))
			}
			fmt.Fprintf(cmd.OutOrStdout(), "http://%s/\n", port.Addr())
			return site.Serve(cmd.Context(), port)
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "address HOST:PORT to serve at; without a host: loopback only; port 0: a free port")
	cmd.Flags().StringVar(&out, "out", "", "folder to make for the playground's static files, instead of serving them")
	return cmd
}
