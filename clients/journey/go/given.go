// What a traveller is given: the variables, the fixtures and the gates of the scripted model.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/anthropics/anthropic-sdk-go"
)

type given struct {
	url, key string
	// A word that no other journey has.
	name string
	// The scripted model server.
	gates   string
	scripts map[string]string
}

// open reads the variables and the texts of messages.
func open() (given, error) {
	var g given
	var fixtures string
	for name, place := range map[string]*string{
		"JOURNEY_URL":      &g.url,
		"JOURNEY_KEY":      &g.key,
		"JOURNEY_NAME":     &g.name,
		"JOURNEY_MODEL":    &g.gates,
		"JOURNEY_FIXTURES": &fixtures,
	} {
		if *place = os.Getenv(name); *place == "" {
			return g, fmt.Errorf("set %s; ../README.md says to what", name)
		}
	}
	scripts, err := os.ReadFile(filepath.Join(fixtures, "scripts.json"))
	if err != nil {
		return g, err
	}
	return g, json.Unmarshal(scripts, &g.scripts)
}

// script is the message that scripts the model so.
func (g *given) script(which string) toSend {
	return toSend{
		OfUserMessage: &anthropic.BetaManagedAgentsUserMessageEventParams{
			Type: anthropic.BetaManagedAgentsUserMessageEventParamsTypeUserMessage,
			Content: []anthropic.BetaManagedAgentsUserMessageEventParamsContentUnion{{
				OfText: textBlock(strings.ReplaceAll(g.scripts[which], "NAME", g.name)),
			}},
		},
	}
}

func textBlock(text string) *anthropic.BetaManagedAgentsTextBlockParam {
	return &anthropic.BetaManagedAgentsTextBlockParam{
		Type: anthropic.BetaManagedAgentsTextBlockTypeText,
		Text: text,
	}
}

// waiting returns once an answer of the model stands at this gate.
func (g *given) waiting(ctx context.Context, which string) error {
	return g.gate(ctx, http.MethodGet, "waiting/"+which)
}

// release opens this gate.
func (g *given) release(ctx context.Context, which string) error {
	return g.gate(ctx, http.MethodPost, "release/"+which)
}

func (g *given) gate(ctx context.Context, method, path string) error {
	request, err := http.NewRequestWithContext(ctx, method, g.gates+"/"+path+"-"+g.name, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("the model server answers %s %s with %s", method, path, answer.Status)
	}
	return nil
}
