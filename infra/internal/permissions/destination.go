package permissions

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"

	"csvexport/infra/internal/localaws"
	"csvexport/infra/internal/template"
)

// destinationRole stands for a function where a call is made under the role of
// a destination, whose policy docs/datasets.md has for its owner to copy.
const destinationRole = "a destination's role"

// exampleBucket is the destination's bucket in the documentation; in the
// end-to-end tests it is [localaws.DeliveryBucket].
const exampleBucket = "acme-finance"

var fencedJSON = regexp.MustCompile("(?s)```json\n(.*?)```")

// texts is a text or a list of them.
type texts []string

// UnmarshalJSON implements json.Unmarshaler.
func (t *texts) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*t = texts{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(t))
}

// destinationPolicy reads the one policy in a document in Markdown that names
// resources.
func destinationPolicy(path string) ([]template.Statement, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var found []template.Statement
	for _, block := range fencedJSON.FindAllSubmatch(text, -1) {
		var policy struct {
			Statement []struct {
				Effect           string
				Action, Resource texts
			}
		}
		if err := json.Unmarshal(block[1], &policy); err != nil {
			return nil, fmt.Errorf("%s: %w in\n%s", path, err, block[1])
		}
		for _, s := range policy.Statement {
			if s.Effect != "Allow" || s.Resource == nil {
				continue // who may assume the role
			}
			statement := template.Statement{Actions: s.Action}
			for _, arn := range s.Resource {
				statement.Resources = append(statement.Resources, template.PolicyResource{
					ARN: strings.Replace(arn, ":::"+exampleBucket, ":::"+localaws.DeliveryBucket, 1), Source: arn,
				})
			}
			found = append(found, statement)
		}
	}
	if found == nil {
		return nil, fmt.Errorf("%s has no policy", path)
	}
	return found, nil
}
