// The journey of ../README.md with the official Go SDK: its steps, in their order.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
)

// A journey remembers what was made on the way.
type journey struct {
	given
	client anthropic.Client

	environment, spare   string
	helper, lead         string
	session, other, team string
	// The threads of the team's children.
	first, second string
	// The ids that talking has printed.
	seen []string
}

// whole takes all steps; what goes wrong names its step.
func (j *journey) whole(ctx context.Context) error {
	for _, step := range []struct {
		name string
		take func(context.Context) error
	}{
		{"environment", j.environments},
		{"agents", j.agents},
		{"coordinator", j.coordinator},
		{"sessions", j.sessions},
		{"turn", j.turn},
		{"custom", j.custom},
		{"confirmation", j.confirmation},
		{"children", j.children},
		{"pages", j.pages},
		{"errors", j.errors},
		{"ends", j.ends},
	} {
		if err := step.take(ctx); err != nil {
			return fmt.Errorf("step %s: %w", step.name, err)
		}
	}
	return nil
}

func main() {
	g, err := open()
	if err == nil {
		client := anthropic.NewClient(option.WithBaseURL(g.url), option.WithAPIKey(g.key))
		err = (&journey{given: g, client: client}).whole(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
