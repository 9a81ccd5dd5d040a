package backoff

// Begin is called before a start: it plans the start and keeps the state. The
// caller waits for the delay and then calls Started.
func Begin(instance string, p Policy) (State, Decision, error) {
	now, err := Now()
	if err != nil {
		return State{}, Decision{}, err
	}
	s, d := Plan(Load(instance), p, now)
	return s, d, Save(instance, s)
}

// Started notes that the run begins now, after the wait.
func Started(instance string, s State) error {
	now, err := Now()
	if err != nil {
		return err
	}
	s.Started = now
	return Save(instance, s)
}

// Stopping is called by ExecStop=: asked when $MAINPID names a living process.
func Stopping(instance string, asked bool) error {
	s := Load(instance)
	s.Stop = Alone
	if asked {
		s.Stop = Asked
	}
	return Save(instance, s)
}

// Record is called by ExecStopPost=: it judges the run that has ended.
func Record(instance string, p Policy, e Exit) error {
	now, err := Now()
	if err != nil {
		return err
	}
	return Save(instance, Ended(Load(instance), p, e, now))
}
