package dataset

// Access is what a caller's verified token lets them export. The zero value
// has no scopes and no claims.
type Access struct {
	Scopes []string            // of the token
	Claims map[string][]string // verified claims by name, each as a list of texts
}
