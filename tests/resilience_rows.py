"""The 25 rows of the fault table: what is promised for each, in both languages, and what proves it.

A proof is a test's id without its parameters; ``weather`` names the faults of tests/world/weather.py that replay the
row. What was measured stands in docs/measured.jsonl; where nothing is, ``asserted`` says how the bound is held.
"""

# ruff: noqa: E501, RUF001  a table of texts; Chinese punctuation is meant

from __future__ import annotations

from dataclasses import dataclass, field

NETWORK, KILL, STOP = (f"tests/system/test_chaos_{name}.py::" for name in ("network", "kill", "stop"))
DISK, PROCESS, LIFE = (
    "tests/system/test_chaos_disk.py::",
    "tests/system/test_chaos_process.py::",
    "tests/system/test_life.py::",
)
FAULTS, SHELL, SENDER = (
    "tests/protocol/test_session_faults.py::",
    "tests/shells/test_connection.py::",
    "tests/gateway/test_sender.py::",
)
DELIVERY, INBOUND, LETTERS = (
    "tests/platforms/test_delivery.py::",
    "tests/rules/test_inbound.py::",
    "tests/rules/test_turns_and_letters.py::",
)
VIRTUAL = ("in virtual time", "虚拟时间内断言")
COUNTED = ("a count, asserted", "次数，直接断言")


@dataclass(frozen=True)
class Row:
    """One fault. Texts are (English, Chinese)."""

    number: int
    fault: tuple[str, str]
    does: tuple[str, str]
    bound: tuple[str, str]
    proofs: tuple[str, ...]
    weather: tuple[str, ...] = ()
    later: tuple[str, str] = field(default=("", ""))
    """The part of the row that nothing proves yet."""
    asserted: tuple[str, str] = VIRTUAL


ROWS = (
    Row(
        1, ("TCP reset in mid-session", "会话中途 TCP 被重置"),
        ("RESUME from the stored sequence; nothing lost, nothing handled twice", "从已落盘的序号 RESUME；不丢，不重复处理"),
        ("5 s after the network is back", "网络恢复后 5 秒"),
        (
            NETWORK + "test_reset_in_mid_session_it_resumes",
            NETWORK + "test_cut_inside_a_frame_or_an_answer_nothing_is_lost_and_nothing_twice",
            FAULTS + "test_row_1_a_reset_resumes_from_the_last_committed_sequence",
            SHELL + "test_the_session_goes_on_after",
        ),
        ("connections reset",),
    ),
    Row(
        2, ("half-open connection: no FIN, no ACK", "半开连接：没有 FIN，也没有 ACK"),
        ("drops the socket at the second missing ACK, RESUME", "第二个 ACK 缺失时放弃连接，RESUME"),
        ("two heartbeat intervals", "两个心跳间隔"),
        (
            NETWORK + "test_half_open_the_second_missed_ack_tells_and_it_resumes",
            NETWORK + "test_half_open_with_a_long_heartbeat_it_takes_two_intervals_at_most",
            FAULTS + "test_row_2_a_half_open_socket_is_seen_within_two_intervals",
            SHELL + "test_a_half_open_socket_is_dropped_at_the_second_missed_ack_and_resumed_from_what_is_stored",
            SHELL + "test_a_quiet_day_with_acks_is_no_reason_to_reconnect",
        ),
        ("half-open", "no acks"),
    ),
    Row(
        3, ("refused, dropped or unresolvable, for hours or days", "连接被拒、被丢弃或域名无法解析，持续数小时乃至数天"),
        ("backs off with jitter up to a cap, never gives up", "带抖动的退避，有上限，永不放弃"),
        ("one cap interval (69 s) after its end; 70 tries an hour", "结束后一个上限间隔（69 秒）；每小时 70 次尝试"),
        (
            NETWORK + "test_refused_or_dropped_for_a_while_it_neither_gives_up_nor_runs_hot",
            NETWORK + "test_a_black_hole_swallows_everything_for_a_while",
            FAULTS + "test_row_3_refused_for_hours_and_days",
            SHELL + "test_after_5000_failed_connects_it_is_still_trying_and_says_so_and_then_it_connects",
            "tests/shells/test_attempts.py::test_an_attempt_that_hangs_ends_within_its_budget",
            "tests/gateway/alerts/test_service.py::test_an_outage_is_told_once_again_later_and_once_when_it_is_over",
        ),
        ("refused", "refused for hours", "partition", "upgrade refused"),
    ),
    Row(
        4, ("accepted, then dropped at once, for an hour", "接受后立即断开，持续一小时"),
        ("no hot loop: a connect alone does not reset the backoff", "不会空转：仅仅连上并不重置退避"),
        ("70 connects an hour", "每小时 70 次连接"),
        (
            NETWORK + "test_refused_or_dropped_for_a_while_it_neither_gives_up_nor_runs_hot",
            FAULTS + "test_row_4_accept_then_drop_for_an_hour",
            SHELL + "test_a_connection_dropped_at_once_again_and_again_makes_no_hot_loop",
            "tests/gateway/alerts/test_service.py::test_a_bot_that_comes_and_goes_is_one_outage",
        ),
        ("accepted, then cut", "dropped after READY"),
    ),
    Row(
        5, ("HELLO never comes", "HELLO 一直不来"),
        ("a deadline ends the attempt", "到期放弃，重试"),
        ("20 s", "20 秒"),
        (
            FAULTS + "test_row_5_hello_never_comes",
            SHELL + "test_what_does_not_come_has_a_deadline",
            STOP + "test_sigterm_during_a_fault_ends_the_process_in_time_and_the_next_start_loses_nothing",
        ),
        ("no HELLO",),
    ),
    Row(
        6, ("READY or RESUMED never comes while ACKs flow", "ACK 正常，READY 或 RESUMED 却不来"),
        ("a deadline that only progress extends", "到期放弃，只有进展才能延长"),
        ("20 s without progress", "20 秒没有进展"),
        (
            FAULTS + "test_row_6_no_ready_while_acks_flow",
            FAULTS + "test_row_6_a_replay_that_makes_progress_may_take_its_time",
            SHELL + "test_what_does_not_come_has_a_deadline",
        ),
        ("no READY", "no RESUMED"),
    ),
    Row(
        7, ("op 7 again and again, also followed by 4009", "op 7 接连不断，也包括随后的 4009"),
        ("RESUME each time, paced by the backoff", "每次 RESUME，按退避的节奏"),
        ("70 connects an hour", "每小时 70 次连接"),
        (
            FAULTS + "test_row_7_op_7_storm",
            FAULTS + "test_row_7_a_4009_alone_resumes",
            SHELL + "test_the_session_goes_on_after",
        ),
        ("op 7", "op 7 storm", "close code that keeps the session"),
    ),
    Row(
        8, ("session gone: op 9, 4006, 4007, 4900-4913", "会话失效：op 9、4006、4007、4900-4913"),
        ("IDENTIFY; the gap is recorded once, with the new session", "IDENTIFY；缺口与新会话一起记录一次"),
        ("20 s", "20 秒"),
        (
            FAULTS + "test_row_8_a_lost_session_identifies_and_reports_the_gap_once",
            FAULTS + "test_row_8_an_ignored_resume_that_gets_a_ready_is_a_gap_too",
            SHELL + "test_a_lost_session_is_one_gap_and_the_next_one_starts_clean",
            "tests/shells/test_gaps.py::test_wherever_the_process_dies_the_gap_is_recorded_once_and_with_the_new_session",
        ),
        ("close code that ends the session", "op 9", "RESUME refused", "sessions lost at QQ"),
    ),
    Row(
        9, ("4914, 4915, 4013, 4014, a wrong secret, an IP that is not allowed", "4914、4915、4013、4014、密钥错误、IP 不在白名单"),
        (
            "`blocked` with cause and remedy, slow probes, recovers alone; other bots untouched",
            "进入 `blocked`，说明原因和办法，低频探测，修好后自行恢复；不影响其他机器人",
        ),
        ("at once", "立即"),
        (
            FAULTS + "test_row_9_blocked_at_once_and_recovers_alone",
            SHELL + "test_a_bot_that_was_taken_down_waits_for_a_person_and_recovers_by_probe",
            SHELL + "test_a_wrong_secret_blocks_with_a_remedy_and_recovers_when_it_is_right",
            "tests/protocol/test_session_intents.py::test_p7_refused_intents_are_reduced_and_named",
            "tests/system/test_agents.py::test_two_bots_in_one_process_one_broken_does_not_touch_the_other",
            "tests/gateway/alerts/test_service.py::test_a_blocked_bot_is_told_at_once_and_keeps_its_outage",
        ),
        ("banned", "taken down", "IP not allowed", "secret refused", "IDENTIFY refused"),
    ),
    Row(
        10, ("the day's IDENTIFYs are nearly spent", "当天的 IDENTIFY 次数将尽"),
        ("slows down and spreads what is left", "放慢，把剩余次数分摊开"),
        ("never over the budget", "绝不超出额度"),
        (
            FAULTS + "test_row_10_the_budget_is_never_exceeded_when_sessions_die_all_day",
            "tests/shells/test_identifies.py::test_our_own_count_of_a_day_ends_the_budget_whatever_the_platform_says",
            "tests/shells/test_identifies.py::test_what_the_platform_has_left_ends_the_budget_less_ours_since_it_said_so",
            "tests/rules/test_inbound.py::test_starting_obeys_the_backoff_on_disk_so_that_a_crash_loop_cannot_spend_the_budget",
            "tests/gateway/alerts/test_rules.py::test_a_trouble_is_found",
        ),
        ("sessions lost at QQ",),
    ),
    Row(
        11, ("token endpoint down for 3 h; a token expired or revoked in use", "令牌接口中断 3 小时；使用中的令牌过期或被吊销"),
        ("sends wait with their `msg_seq`; one refresh for all", "发送带着原 `msg_seq` 等待；全体共用一次刷新"),
        ("first send 5 s after its end", "结束后 5 秒内首次发送"),
        (
            "tests/transport/test_token.py::test_three_hours_without_the_endpoint_and_the_first_token_within_5_seconds",
            "tests/transport/test_token.py::test_a_refused_token_is_replaced_once_for_all",
            SENDER + "test_a_single_letter_leaves_within_5_s_of_the_end_of_an_outage",
            DELIVERY + "test_a_refused_token_is_renewed_once_and_the_same_request_sent_again",
            SHELL + "test_a_token_that_the_gateway_refuses_is_renewed_even_where_the_address_is_older_than_it",
            "tests/gateway/alerts/test_rules.py::test_a_trouble_is_found",
        ),
        ("token endpoint down", "tokens revoked", "authentication failed"),
    ),
    Row(
        12, ("the same event twice: resume, restart", "同一事件来两次：恢复、重启"),
        ("one inbox row, one turn", "收件箱一行，一个回合"),
        ("one turn", "一个回合"),
        (
            INBOUND + "test_a_duplicate_meets_a_unique_key_in_the_database_also_after_a_restart",
            "tests/gateway/test_intake.py::test_the_same_message_twice_is_one_turn_also_while_the_first_is_being_stored",
            "tests/shells/test_storing.py::test_frames_that_come_again_after_resume_are_stored_once",
        ),
        ("events twice",),
        ("a webhook's retry: with the webhook", "webhook 的重试：等 webhook 实现"),
        COUNTED,
    ),
    Row(
        13, ("kill -9 between a frame and its commit", "帧已收到、尚未提交时 kill -9"),
        ("RESUME replays it; handled once", "RESUME 补发；处理一次"),
        ("READY 10 s after the start", "启动后 10 秒 READY"),
        (
            KILL + "test_killed_before_the_frame_was_read_it_is_replayed_and_handled_once",
            KILL + "test_killed_between_reading_a_frame_and_its_commit_it_is_replayed_and_handled_once",
            "tests/system/test_kill.py::test_killed_fifty_times_under_load_every_message_is_answered_once",
        ),
    ),
    Row(
        14, ("kill -9 between the commit and the agent's end", "提交之后、智能体结束之前 kill -9"),
        ("runs the turn again; one set of replies", "回合重新运行；只有一套回复"),
        ("again 1 s after the start", "启动后 1 秒重新运行"),
        (
            KILL + "test_killed_while_the_agent_thinks_the_turn_runs_again",
            KILL + "test_killed_between_the_answer_and_the_commit_that_ends_the_turn_it_runs_again",
            INBOUND + "test_a_claim_carries_the_boot_and_the_next_one_voids_it_at_once_so_that_the_turn_runs_within_a_second",
        ),
    ),
    Row(
        15, ("kill -9 between a POST and its answer", "POST 发出之后、应答到达之前 kill -9"),
        (
            "repeats with the same `msg_seq`, a duplicate refusal counts as delivered: the user sees one message",
            "以相同的 `msg_seq` 重发，重复拒绝视为已送达：用户只看到一条",
        ),
        ("inside the reply window", "在回复窗口之内"),
        (
            KILL + "test_killed_after_the_platform_accepted_and_before_it_answered_the_user_sees_one_message",
            KILL + "test_killed_while_the_platform_has_not_acted_yet_it_acts_later_and_the_user_sees_one_message",
            KILL + "test_killed_after_half_of_the_request_had_left_the_user_sees_one_message",
            KILL + "test_killed_after_the_answer_and_before_it_was_committed_the_user_sees_one_message",
            SENDER + "test_in_doubt_past_the_window_is_unsure_with_a_reason",
        ),
        ("answers lost",),
    ),
    Row(
        16, ("a send times out, gets 5xx, an HTML 502, 429", "发送超时、5xx、HTML 的 502、429"),
        ("tries again in order, never past the window; a final refusal costs one request", "按序重试，绝不超出窗口；终局拒绝只花一次请求"),
        ("inside the reply window", "在回复窗口之内"),
        (
            NETWORK + "test_cut_inside_a_frame_or_an_answer_nothing_is_lost_and_nothing_twice",
            NETWORK + "test_answers_that_come_after_we_gave_up_are_repeats_that_nobody_sees",
            NETWORK + "test_a_trickle_loses_nothing",
            SENDER + "test_too_fast_pauses_the_bot_for_as_long_as_it_was_told_and_keeps_the_order",
            SENDER + "test_a_permanent_refusal_costs_exactly_one_request",
            DELIVERY + "test_a_page_instead_of_an_answer_is_in_doubt",
        ),
        ("send fails before", "send fails after", "too many requests", "send hangs", "send slow", "errors with 200"),
    ),
    Row(
        17, ("the reply window or the replies of a message run out", "回复窗口已过，或回复次数用完"),
        ("a fresher anchor, a proactive message, or held and delivered with the next message", "换较新的锚、改为主动消息，或保留并随下一条消息送达"),
        ("the next contact", "下一次联系"),
        (
            SENDER + "test_a_reply_past_its_window_is_held_and_goes_with_the_next_message",
            SENDER + "test_replies_over_the_budget_are_held_and_go_with_the_next_message",
            SENDER + "test_a_dead_anchor_gives_way_to_a_fresher_one",
            LETTERS + "test_on_contact_held_letters_go_first_merged_into_one_then_the_turns_own",
        ),
        ("refused for hours", "send hangs"),
    ),
    Row(
        18, ("a poison message: the agent always raises, or the process dies of it", "毒消息：智能体总是报错，或进程因它崩溃"),
        ("counts an attempt before it runs; a dead letter after five; the lane goes on", "运行前先计数；五次后成为死信；该会话继续"),
        ("5 runs", "5 次"),
        (
            LIFE + "test_a_turn_that_kills_the_process_is_a_dead_letter_after_five_and_harms_nobody",
            "tests/gateway/test_worker.py::test_an_agent_that_raises_is_tried_five_times_then_dead_and_the_lane_goes_on",
            INBOUND + "test_an_attempt_is_counted_on_disk_before_the_agent_runs",
            "tests/durable/test_history.py::test_a_dead_turn_raises_one_too_and_an_ended_alert_begins_anew",
        ),
        (),
        asserted=COUNTED,
    ),
    Row(
        19, ("an agent hangs for ever, in `await` or blocking the loop", "智能体永远卡住：在 `await` 里，或阻塞事件循环"),
        (
            "in `await` or in a process of its own: the turn times out, others go on; in the loop: prints the stack, ends the process",
            "在 `await` 或独立进程里：回合超时，其他不受影响；在循环里：打印调用栈并结束进程",
        ),
        ("as set; the test sets 2 s", "按设置；测试中为 2 秒"),
        (
            PROCESS + "test_a_loop_that_blocks_ends_the_process_and_its_turn_is_answered_by_the_next_one",
            PROCESS + "test_an_isolated_agent_dies_with_a_killed_buoy",
            INBOUND + "test_an_agent_that_hangs_in_await_times_out_and_others_are_not_affected",
            INBOUND + "test_an_agent_that_blocks_runs_in_a_process_of_its_own_and_can_be_interrupted_there",
        ),
    ),
    Row(
        20, ("disk full, I/O error, failed fsync, read-only", "磁盘满、I/O 错误、fsync 失败、只读"),
        (
            "acknowledges nothing, holds the sequence, recovers without loss; what it cannot trust ends the process",
            "不做任何确认，序号停住，恢复后不丢；不再可信时结束进程",
        ),
        ("one cap interval (69 s) after there is space; the process ends in 5 s", "有空间后一个上限间隔（69 秒）；进程 5 秒内结束"),
        (
            DISK + "test_disk_full_while_messages_arrive_and_space_again_nothing_is_lost",
            DISK + "test_a_disk_that_becomes_read_only_ends_the_process_and_once_mended_nothing_is_lost",
            DISK + "test_a_write_that_fails_ends_the_process_and_the_next_one_loses_nothing",
            DISK + "test_started_on_a_full_disk_it_says_so_in_one_line_and_starts_when_there_is_space",
            FAULTS + "test_row_20_a_frame_that_cannot_be_stored_holds_the_sequence",
            "tests/gateway/alerts/test_service.py::test_a_disk_that_takes_nothing_is_told_without_it",
        ),
        ("disk full", "one commit refused in a burst", "fsync fails"),
        ("503 to a webhook: with the webhook", "对 webhook 应答 503：等 webhook 实现"),
    ),
    Row(
        21, ("a commit stalls for 30 s", "一次提交卡住 30 秒"),
        ("heartbeats go on; 1,000 frames wait, then it stops reading", "心跳继续；最多积压 1,000 帧，之后停止读取"),
        ("one heartbeat missed; 1,000 frames; 5 s after the thaw", "最多缺一次心跳；1,000 帧；解冻后 5 秒"),
        (
            DISK + "test_a_commit_that_stalls_for_thirty_seconds_costs_no_heartbeat",
            DISK + "test_a_commit_that_stalls_costs_no_heartbeat",
            "tests/shells/test_storing.py::test_a_disk_that_stalls_stops_reading_at_1000_frames_and_loses_nothing",
        ),
        ("disk slow",),
    ),
    Row(
        22, ("SIGTERM in the middle of rows 1-9, 11, 15, 16, 19-21 and 23", "在 1-9、11、15、16、19-21、23 各项故障中收到 SIGTERM"),
        ("ends inside the deadline; the next start loses nothing", "在期限内结束；下次启动不丢任何东西"),
        ("5 s", "5 秒"),
        (
            STOP + "test_sigterm_during_a_fault_ends_the_process_in_time_and_the_next_start_loses_nothing",
            STOP + "test_sigterm_with_turns_in_every_conversation_gives_all_of_them_back",
            LIFE + "test_sigterm_ends_a_process_whose_agent_hangs_and_the_turn_is_given_back",
            STOP + "test_sigterm_on_a_full_disk_ends_the_process_in_time",
            STOP + "test_sigterm_on_a_disk_that_became_read_only_ends_the_process_in_time",
            "tests/gateway/test_watch.py::test_sigterm_ends_a_process_within_the_deadline_whatever_its_loop_does",
        ),
        ("stopped and started", "stopped in an outage", "stopped for long"),
    ),
    Row(
        23, ("the process frozen for 120 s, the machine suspended for 1 h", "进程冻结 120 秒，机器挂起 1 小时"),
        ("claims nothing false; connected again, nothing lost", "不给出虚假状态；重新连上，不丢"),
        ("60 s", "60 秒"),
        (
            NETWORK + "test_frozen_for_two_minutes_it_goes_on",
            NETWORK + "test_frozen_for_longer_than_every_deadline_it_goes_on",
            "tests/shells/test_tasks.py::test_s7_after_an_hour_s_suspend_it_is_connected_again_within_a_minute",
            "tests/gateway/test_patience.py::test_a_process_that_stood_still_gave_nobody_that_time",
        ),
        ("process stands still", "machine suspended"),
    ),
    Row(
        24, ("two processes on one data directory, or on one AppID", "两个进程共用一个数据目录，或同一个 AppID"),
        ("the second refuses and says who holds it; the first does not notice", "第二个拒绝并说明占用者；第一个毫无察觉"),
        ("at once; the test allows 5 s", "立即；测试允许 5 秒"),
        (
            PROCESS + "test_a_second_process_on_the_same_bot_or_directory_leaves_at_once_and_the_first_does_not_notice",
            PROCESS + "test_the_locks_of_a_frozen_process_hold_and_those_of_a_killed_one_are_free_at_once",
            "tests/durable/test_lock.py::test_a_directory_has_one_holder_and_the_refusal_names_it",
        ),
    ),
    Row(
        25, ("the wall clock jumps by an hour; QQ's clock is off", "系统时钟跳变一小时；QQ 的时钟有偏差"),
        ("deadlines run on monotonic time; no false zombie", "期限用单调时钟；不会误判僵死"),
        ("no deadline moves", "期限不受影响"),
        (
            SENDER + "test_the_pause_does_not_follow_a_wall_clock_that_is_set_back",
            "tests/gateway/test_worker.py::test_the_pause_after_a_failure_does_not_follow_a_wall_clock_that_is_set_back",
            "tests/gateway/test_intake.py::test_a_clock_that_was_put_back_does_not_turn_a_gap_around",
            LETTERS + "test_a_window_is_corrected_for_clock_skew",
        ),
        ("clock jumps", "QQ's clock is off"),
        ("forged and replayed webhooks: with the webhook", "伪造和重放的 webhook：等 webhook 实现"),
    ),
)  # fmt: skip
