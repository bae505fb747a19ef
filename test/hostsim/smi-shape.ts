/**
 * The elements of one `<gpu>` in document order, from real documents of drivers 460 to 595 (2026-11). A line is: tabs for
 * the depth, conditions in brackets, the name, the text. `550+` from that driver on, `525-` up to it; `hopper`,
 * `!hopper`, `ampere` (Ampere and later), `mig`, `!mig`. `$x` is filled in. Before the name, `=` marks what the driver
 * knows without asking the board (a lost board changes only the rest), `~` what it measures.
 */
export const GPU_SHAPE = `
product_name $name
product_brand NVIDIA
[470+]=product_architecture $architecture
[579-]display_mode Enabled
[580+]display_mode Requested functionality has been deprecated
[580+]display_attached $displayAttached
display_active $displayActive
persistence_mode $persistence
[525+]=addressing_mode None
mig_mode
	current_mig $migCurrent
	pending_mig $migPending
=@mig_devices
accounting_mode Disabled
accounting_mode_buffer_size 4000
driver_model
	current_dm N/A
	pending_dm N/A
serial $serial
uuid $uuid
[580+]pdi $pdi
minor_number $minor
vbios_version 96.00.89.00.01
multigpu_board No
board_id $boardId
[525+]board_part_number 692-2G520-0200-000
=gpu_part_number 2330-885-A1
[525+]=gpu_fru_part_number N/A
[510+ 564-]gpu_module_id 4
[565+]platformInfo
	chassis_serial_number N/A
	slot_number N/A
	tray_index N/A
	host_id N/A
	peer_type N/A
	module_id 4
	gpu_fabric_guid N/A
inforom_version
	img_version G520.0200.00.05
	oem_object 2.1
	ecc_object 7.16
	pwr_object N/A
[535+]inforom_bbx_flush
	latest_timestamp N/A
	latest_duration N/A
gpu_operation_mode
	current_gom N/A
	pending_gom N/A
[550+]c2c_mode N/A
[470+ 549-]gsp_firmware_version $driver
gpu_virtualization_mode
	virtualization_mode None
	host_vgpu_mode N/A
	[550+]vgpu_heterogeneous_mode N/A
[535+ 579-]gpu_reset_status
	reset_required $resetRequired
	drain_and_reset_recommended $drainAndReset
[565+]gpu_recovery_action $recovery
[550+]gsp_firmware_version $driver
ibmnpu
	=relaxed_ordering_mode N/A
pci
	=pci_bus $pciBus
	=pci_device $pciDevice
	=pci_domain $pciDomain
	[550+]=pci_base_class 3
	[550+]=pci_sub_class 2
	=pci_device_id 233010DE
	=pci_bus_id $busId
	=pci_sub_system_id 16C110DE
	pci_gpu_link_info
		pcie_gen
			max_link_gen 5
			current_link_gen 5
			[525+]device_current_link_gen 5
			[525+]max_device_link_gen 5
			[525+]=max_host_link_gen N/A
		link_widths
			max_link_width 16x
			current_link_width 16x
	pci_bridge_chip
		bridge_chip_type N/A
		bridge_chip_fw N/A
	replay_counter 0
	replay_rollover_counter 0
	tx_util 350 KB/s
	rx_util 300 KB/s
	[525+ 569-]=atomic_caps_inbound N/A
	[525+]=atomic_caps_outbound N/A
	[570+]=atomic_caps_inbound N/A
fan_speed N/A
performance_state P0
[534-]clocks_throttle_reasons
	clocks_throttle_reason_gpu_idle $idle
	clocks_throttle_reason_applications_clocks_setting Not Active
	clocks_throttle_reason_sw_power_cap Not Active
	clocks_throttle_reason_hw_slowdown Not Active
	clocks_throttle_reason_hw_thermal_slowdown Not Active
	clocks_throttle_reason_hw_power_brake_slowdown Not Active
	clocks_throttle_reason_sync_boost Not Active
	clocks_throttle_reason_sw_thermal_slowdown Not Active
	clocks_throttle_reason_display_clocks_setting Not Active
[535+]clocks_event_reasons
	clocks_event_reason_gpu_idle $idle
	clocks_event_reason_applications_clocks_setting Not Active
	clocks_event_reason_sw_power_cap Not Active
	clocks_event_reason_hw_slowdown Not Active
	clocks_event_reason_hw_thermal_slowdown Not Active
	clocks_event_reason_hw_power_brake_slowdown Not Active
	clocks_event_reason_sync_boost Not Active
	clocks_event_reason_sw_thermal_slowdown Not Active
	clocks_event_reason_display_clocks_setting Not Active
[580+]clocks_event_reasons_counters
	clocks_event_reasons_counters_sw_power_cap 0 us
	clocks_event_reasons_counters_sync_boost 0 us
	clocks_event_reasons_counters_sw_therm_slowdown 0 us
	clocks_event_reasons_counters_hw_therm_slowdown 0 us
	clocks_event_reasons_counters_hw_power_brake 0 us
[535+]=sparse_operation_mode Disabled
fb_memory_usage
	~total $total MiB
	[510+]~reserved $reserved MiB
	~used $used MiB
	~free $free MiB
bar1_memory_usage
	total 131072 MiB
	used 1 MiB
	free 131071 MiB
[535+]cc_protected_memory_usage
	total 0 MiB
	used 0 MiB
	free 0 MiB
compute_mode $computeMode
utilization
	~gpu_util $gpuUtil
	~memory_util $memoryUtil
	encoder_util $codecUtil
	decoder_util $codecUtil
	[525+]jpeg_util $codecUtil
	[525+]ofa_util $codecUtil
encoder_stats
	session_count 0
	average_fps 0
	average_latency 0
fbc_stats
	session_count 0
	average_fps 0
	average_latency 0
[570+]dram_encryption_mode
	current_dram_encryption N/A
	pending_dram_encryption N/A
ecc_mode
	current_ecc Enabled
	pending_ecc Enabled
ecc_errors
	volatile
		sram_correctable 0
		[549-]sram_uncorrectable 0
		[550+]sram_uncorrectable_parity 0
		[550+]sram_uncorrectable_secded 0
		dram_correctable 0
		dram_uncorrectable 0
	aggregate
		sram_correctable 0
		[549-]sram_uncorrectable 0
		[550+]sram_uncorrectable_parity 0
		[550+]sram_uncorrectable_secded 0
		dram_correctable 0
		dram_uncorrectable 0
		[550+]sram_threshold_exceeded No
	[550+]aggregate_uncorrectable_sram_sources
		sram_l2 0
		sram_sm 0
		sram_microcontroller 0
		sram_pcie 0
		sram_other 0
	[580+]channel_repair_pending No
	[580+]tpc_repair_pending No
	[590+]unrepairable_memory No
retired_pages
	multiple_single_bit_retirement
		retired_count $retiredCount
		retired_pagelist N/A
	double_bit_retirement
		retired_count $retiredCount
		retired_pagelist N/A
	pending_blacklist $pendingRetirement
	pending_retirement $pendingRetirement
[!ampere]remapped_rows N/A
[ampere mig]remapped_rows N/A
[ampere !mig]remapped_rows
	remapped_row_corr 0
	[590+]remapped_row_corr_inactive 0
	remapped_row_unc $remappedUnc
	[590+]remapped_row_unc_inactive 0
	remapped_row_pending $remapPending
	remapped_row_failure $remapFailed
	row_remapper_histogram
		row_remapper_histogram_max 2560 bank(s)
		row_remapper_histogram_high 0 bank(s)
		row_remapper_histogram_partial 0 bank(s)
		row_remapper_histogram_low 0 bank(s)
		row_remapper_histogram_none 0 bank(s)
temperature
	~gpu_temp $temperature C
	[525+]~gpu_temp_tlimit $tlimit
	[524-]gpu_temp_max_threshold 92 C
	[524-]gpu_temp_slow_threshold 89 C
	[524-]gpu_temp_max_gpu_threshold 85 C
	[525+ !hopper]gpu_temp_max_threshold 92 C
	[525+ !hopper]gpu_temp_slow_threshold 89 C
	[525+ !hopper]gpu_temp_max_gpu_threshold 85 C
	[525+ hopper]gpu_temp_max_tlimit_threshold -8 C
	[525+ hopper]gpu_temp_slow_tlimit_threshold -2 C
	[525+ hopper]gpu_temp_max_gpu_tlimit_threshold 0 C
	=gpu_target_temperature N/A
	=memory_temp 40 C
	[524-]gpu_temp_max_mem_threshold 95 C
	[525+ !hopper]gpu_temp_max_mem_threshold 95 C
	[525+ hopper]gpu_temp_max_mem_tlimit_threshold 0 C
supported_gpu_target_temp
	gpu_target_temp_min N/A
	gpu_target_temp_max N/A
[534-]power_readings
	power_state P0
	power_management Supported
	~power_draw 68.20 W
	power_limit $powerLimit W
	default_power_limit $defaultPowerLimit W
	enforced_power_limit $powerLimit W
	min_power_limit 100.00 W
	max_power_limit $defaultPowerLimit W
[535+]gpu_power_readings
	[579-]power_state P0
	[580+]power_state Requested functionality has been deprecated
	[550+ 554-]~average_power_draw 68.20 W
	[550+ 554-]~instant_power_draw 68.20 W
	[535+ 549-]~power_draw 68.20 W
	[555+ 569-]~power_draw 68.20 W
	[570+]~average_power_draw 68.20 W
	[570+]~instant_power_draw 68.20 W
	current_power_limit $powerLimit W
	requested_power_limit $powerLimit W
	default_power_limit $defaultPowerLimit W
	min_power_limit 100.00 W
	max_power_limit $defaultPowerLimit W
[550+]gpu_memory_power_readings
	[555+ 569-]power_draw N/A
	[550+ 554-]average_power_draw N/A
	[550+ 554-]instant_power_draw N/A
	[570+]average_power_draw N/A
	[570+]instant_power_draw N/A
[535+]module_power_readings
	[579-]power_state P0
	[580+]power_state Requested functionality has been deprecated
	[535+ 549-]power_draw N/A
	[555+ 569-]power_draw N/A
	[550+ 554-]average_power_draw N/A
	[550+ 554-]instant_power_draw N/A
	[570+]average_power_draw N/A
	[570+]instant_power_draw N/A
	current_power_limit N/A
	requested_power_limit N/A
	default_power_limit N/A
	min_power_limit N/A
	max_power_limit N/A
[570+]power_smoothing N/A
[570+]power_profiles
	power_profile_requested_profiles N/A
	power_profile_enforced_profiles N/A
[590+]edpp_multiplier N/A
clocks
	~graphics_clock 1410 MHz
	~sm_clock 1410 MHz
	~mem_clock 1215 MHz
	~video_clock 1275 MHz
applications_clocks
	[579-]graphics_clock 1410 MHz
	[579-]mem_clock 1215 MHz
	[580+]graphics_clock Requested functionality has been deprecated
	[580+]mem_clock Requested functionality has been deprecated
default_applications_clocks
	[579-]graphics_clock 1410 MHz
	[579-]mem_clock 1215 MHz
	[580+]graphics_clock Requested functionality has been deprecated
	[580+]mem_clock Requested functionality has been deprecated
[525+]deferred_clocks
	mem_clock N/A
max_clocks
	graphics_clock 1410 MHz
	sm_clock 1410 MHz
	mem_clock 1215 MHz
	video_clock 1290 MHz
max_customer_boost_clocks
	graphics_clock 1410 MHz
clock_policy
	auto_boost N/A
	auto_boost_default N/A
[510+ 579-]voltage
	=graphics_volt 893.750 mV
[525+]fabric
	state N/A
	status N/A
	[550+]cliqueId N/A
	[550+]clusterUuid N/A
	[550+]health
		[580+]summary N/A
		bandwidth N/A
		[570+]route_recovery_in_progress N/A
		[570+]route_unhealthy N/A
		[570+]access_timeout_recovery N/A
		[580+]incorrect_configuration N/A
supported_clocks N/A
=@processes
[555-]accounted_processes N/A
[556+]@accounted_processes
[555+]capabilities
	=egm N/A
`;
