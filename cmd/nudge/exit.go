package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"nudge/cmd/nudge/internal/recording"
	"nudge/operators/pipeline"
	"nudge/state"
	"nudge/streams/files"
)

// What a command ends with.
const (
	exitOK      = 0
	exitFailed  = 1
	exitUsage   = 2
	exitInvalid = 3
)

// usageError is an error in how a command was called.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// invalidError is an error in what a command was given to read.
type invalidError struct{ error }

func (e invalidError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func invalidf(format string, args ...any) error { return invalidError{fmt.Errorf(format, args...)} }

func exitCode(err error) int {
	var usage usageError
	var invalid invalidError
	var faults pipeline.Faults
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &invalid), errors.As(err, &faults), errors.Is(err, state.ErrCorrupt), errors.Is(err, recording.ErrDamaged), errors.Is(err, files.ErrCorrupt):
		return exitInvalid
	}
	return exitFailed
}

// message is what is said about an error. Faults of a file stand one to a line as they are, so that editors find the places.
func message(err error) string {
	var faults pipeline.Faults
	if errors.As(err, &faults) {
		return err.Error()
	}
	return "nudge: " + err.Error()
}

// usageErrors makes what cobra finds wrong with flags and arguments an error of usage, in cmd and all below it.
func usageErrors(cmd *cobra.Command) {
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w\n%s", err, seeHelp(cmd))
	})
	args := cmd.Args
	if args == nil {
		args = cobra.ArbitraryArgs
	}
	cmd.Args = func(cmd *cobra.Command, given []string) error {
		if err := args(cmd, given); err != nil {
			return usagef("%w\n%s", err, seeHelp(cmd))
		}
		return nil
	}
	for _, sub := range cmd.Commands() {
		usageErrors(sub)
	}
}

func seeHelp(cmd *cobra.Command) string {
	return "usage: " + cmd.UseLine() + "\nexamples and flags: " + cmd.CommandPath() + " -h"
}
