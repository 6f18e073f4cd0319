package export

// Destination is the bucket of somebody else's that an export's file goes to.
// All of it is what the catalog said at the request: who removes, deletes or
// presigns the file later doesn't ask the catalog.
type Destination struct {
	Name   string `json:"name"`             // the catalog's
	Prefix string `json:"prefix,omitempty"` // the request's; ends in / unless it is empty

	Bucket string `json:"bucket"`
	Root   string `json:"root,omitempty"`   // what the catalog has all keys begin with; ends in / unless it is empty
	Region string `json:"region,omitempty"` // the bucket's; empty for the service's
	// Role is the ARN of the IAM role that may write there; empty for the
	// functions' own rights. ExternalID is what its trust policy asks for.
	Role       string `json:"role,omitempty"`
	ExternalID string `json:"externalId,omitempty"`
}

// Location is the address of the file in its destination, s3://BUCKET/KEY;
// empty for an export without one, whose bucket is the service's own affair,
// and for one without a file.
func (e Export) Location() string {
	if e.Spec.Destination == nil || e.Result == nil {
		return ""
	}
	return "s3://" + e.Spec.Destination.Bucket + "/" + e.Result.Key
}
